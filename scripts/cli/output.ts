/** How commands speak: people get lines, tables and progress on a terminal; machines get one JSON value on standard output. */
import { formatExactJson } from '../../src/data/exact-json.ts'

export interface Progress {
  /** `leftMs`: time left, where the work knows better than by what is done. */
  update(done: number, text?: string, leftMs?: number): void
  /** Says something that stays; it would run into a bar otherwise. */
  above(say: () => void): void
  stop(): void
}

export interface Output {
  readonly json: boolean
  readonly quiet: boolean
  /** A line for people (or a text of several), on standard output; nothing with `--json` or `--quiet`. */
  line(text: string): void
  /** A part of a line, as it comes. */
  part(text: string): void
  /** A note or warning for people, on one line of standard error; nothing with `--quiet`. */
  note(text: string): void
  /** Rows with a header, columns aligned. */
  table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): void
  /** The command's result: printed as JSON with `--json`, else nothing. */
  result(value: unknown): void
  /** A progress bar with an estimate, on a terminal; plain lines now and then elsewhere, of work that has taken `afterMs` already. */
  progress(label: string, total: number, afterMs?: number): Promise<Progress>
}

/** As JSON writes it: one that has two code units in two. */
const shown = (sign: string): string =>
  Array.from({ length: sign.length }, (_, at) => `\\u${sign.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')

/** Text of strangers on a terminal: control characters and those that turn the direction of writing are shown, not obeyed. */
export const printable = (text: string): string => text.replaceAll(/(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, shown)

/** The same for text that may take one line only: what comes from strangers within it cannot pass for a line of ours. */
export const printableLine = (text: string): string => printable(text).replaceAll(/[\n\t]/g, shown)

/** Columns padded to their widest cell, numbers right-aligned. */
export function formatTable(header: readonly string[], given: readonly (readonly (string | number)[])[]): string {
  const rows = given.map((cells) => cells.map((cell) => (typeof cell === 'number' ? cell : printableLine(cell))))
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => String(row[column] ?? '').length)))
  const format = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, column) => (typeof cell === 'number' ? String(cell).padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return [format(header), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(format)].join('\n')
}

/** The output of a command run from a shell. */
export function shellOutput(options: { readonly json: boolean; readonly quiet: boolean }): Output {
  const { json, quiet } = options
  const line = (text: string): void => {
    if (!json && !quiet) process.stdout.write(`${printable(text)}\n`)
  }
  return {
    json,
    quiet,
    line,
    part: (text) => {
      if (!json && !quiet) process.stdout.write(printable(text))
    },
    note: (text) => {
      if (!quiet) process.stderr.write(`${printableLine(text)}\n`)
    },
    table: (header, rows) => line(formatTable(header, rows)),
    result: (value) => {
      // Escaped it is the same JSON.
      if (json) process.stdout.write(`${printableLine(formatExactJson(value))}\n`)
    },
    progress: async (label, total, afterMs = 0) => {
      if (json || quiet) return { update: () => {}, above: (say) => say(), stop: () => {} }
      return process.stderr.isTTY ? terminalProgress(label, total) : plainProgress(label, total, afterMs)
    },
  }
}

/** A bar that gives way: it leaves its line where something is said, and at its end. */
async function terminalProgress(label: string, total: number): Promise<Progress> {
  const { SingleBar, Presets } = (await import('cli-progress')).default
  const format = `${label} {bar} {value}/{total} {text} {time}`
  const bar = new SingleBar({ format, hideCursor: true, clearOnComplete: true }, Presets.shades_classic)
  const timer = startTimer(total)
  let value = 0
  let payload = { text: '', time: '' }
  bar.start(total, value, payload)
  return {
    update: (done, text = '', leftMs) => {
      value = done
      payload = { text: printableLine(text), time: timer(done, leftMs) }
      bar.update(value, payload)
    },
    // It draws where it began: printing above it, the place has to be left and taken anew.
    above: (say) => {
      const { isActive } = bar
      bar.stop()
      say()
      if (isActive) bar.start(total, value, payload)
    },
    stop: () => bar.stop(),
  }
}

/** Says what time has gone and what is left. */
function startTimer(total: number): (done: number, leftMs?: number) => string {
  const started = Date.now()
  return (done, leftMs) => {
    const gone = Date.now() - started
    return `${formatDuration(gone)} gone, ${formatDuration(leftMs ?? (done > 0 ? (gone / done) * (total - done) : 0))} left`
  }
}

/** `45 s`, `12 min`, `3.4 h` */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 90) return `${seconds.toFixed(0)} s`
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`
}

/** One line at each tenth of the way, for logs. */
function plainProgress(label: string, total: number, afterMs: number): Progress {
  const timer = startTimer(total)
  const from = Date.now() + afterMs
  let tenth = 0
  return {
    update: (done, text = '', leftMs) => {
      const now = Math.floor((10 * done) / total)
      if (now <= tenth || Date.now() < from) return
      tenth = now
      process.stderr.write(`${printableLine(`${label} ${done}/${total} ${text} ${timer(done, leftMs)}`)}\n`)
    },
    above: (say) => say(),
    stop: () => {},
  }
}
