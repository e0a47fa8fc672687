/** `soft-prompts inspect X`: what a prompt is, and with its model, which words its virtual tokens lie near. */
import type { Inspection } from '../adapters/compose/inspect.ts'
import { command, type Command } from './cli/command.ts'
import { formatMetric } from './cli/figures.ts'
import type { Output } from './cli/output.ts'

export const inspect: Command = command({
  name: 'inspect',
  summary: 'Look at a prompt: shape, norms, recipe, metrics, files; with its model, the nearest words.',
  args: [{ name: 'prompt', help: 'folder, .tar.gz bundle or pack (pack.tar.gz#name for one of it), .npy file, or Hub id' }],
  flags: {
    model: { kind: 'string', value: 'id|dir', help: 'base model: folder, Hub id, or encoder .onnx' },
    nearest: { kind: 'number', value: 'n', help: 'nearest pieces listed for each virtual token', default: 5 },
    task: { kind: 'number', value: 'n', help: 'which prompt of a multitask adapter' },
  },
  examples: ['soft-prompts inspect ./my-prompt', 'soft-prompts inspect ./my-prompt --model ./t5-small --nearest 3'],
  async run([path = ''], { model, nearest, task }, out) {
    const { inspectPrompts } = await import('../adapters/compose/inspect.ts')
    const progress = model === undefined ? undefined : await out.progress('words compared, %', 100, SHORT_MS)
    const found = await inspectPrompts(path, {
      nearest,
      ...(model === undefined ? {} : { model }),
      ...(task === undefined ? {} : { task }),
      ...(progress ? { onRows: (done: number, total: number): void => progress.update(Math.floor((100 * done) / total)) } : {}),
    }).finally(() => progress?.stop())
    for (const each of found) show(each, out)
    out.result(found)
  },
})

/** Comparing with a small vocabulary is done before anybody asks how far it is. */
const SHORT_MS = 3000

const round = (value: number, digits = 4): string => String(Number(value.toPrecision(digits)))

function show(found: Inspection, out: Output): void {
  const { manifest, norms } = found
  const { base, recipe, metrics = [] } = manifest
  const rows: [string, string][] = [
    ['prompt', `${found.name}: ${found.length} virtual tokens of width ${found.width}`],
    ['format', `${found.format === 'peft' ? `PEFT ${found.peftType ?? ''}` : found.format} (${found.container})`],
    ['stored', `${found.dtype} [${found.storedShape.join(', ')}]${found.deadRows > 0 ? `, of which ${found.deadRows} rows are dead` : ''}`],
    ['base', `${base.id === '' ? 'not named' : base.id}${base.revision === undefined ? '' : ` at ${base.revision}`}`],
    ['norms', `${round(norms.min)} to ${round(norms.max)}, mean ${round(norms.mean)}`],
  ]
  if (found.base) rows.push(['model', `${modelWords(found.base)}`])
  if (found.moved)
    rows.push(['moved', 'mean' in found.moved ? `mean ${round(found.moved.mean)} from its start` : `not known: ${found.moved.unknown}`])
  if (manifest.task !== undefined) rows.push(['task', manifest.task])
  if (manifest.template !== undefined) rows.push(['template', manifest.template])
  if (manifest.labels) rows.push(['labels', manifest.labels.join(', ')])
  if (recipe)
    rows.push([
      'recipe',
      Object.entries(recipe)
        .map(([key, value]) => `${key} ${String(value)}`)
        .join(', '),
    ])
  if (manifest.data)
    rows.push(['data', `${manifest.data.name ?? 'unnamed'}, ${manifest.data.rows} rows, sha256 ${manifest.data.sha256.slice(0, 12)}…`])
  for (const metric of metrics) rows.push(['metric', `${formatMetric(metric)} on ${metric.split}`])
  for (const { name, sizeBytes } of found.files) rows.push(['file', `${name}, ${sizeBytes} bytes`])
  // One line each, whatever line breaks a stranger put in.
  for (const [key, text] of rows) out.line(`${key.padEnd(9)} ${text.replaceAll(/\s+/g, ' ')}`)
  for (const note of found.notes) out.note(`note: ${note}`)
  const isKnown = found.tokens.some(({ nearest }) => nearest)
  if (isKnown) {
    const isMoved = found.tokens.some(({ moved }) => moved)
    out.table(
      ['token', 'norm', ...(isMoved ? ['moved', 'cosine'] : []), 'nearest pieces (cosine)'],
      found.tokens.map(({ norm, moved, nearest = [] }, token) => [
        token,
        round(norm),
        ...(isMoved ? [round(moved?.distance ?? 0), round(moved?.cosine ?? 0, 3)] : []),
        nearest.map(({ piece, cosine }) => `${piece} ${cosine.toFixed(2)}`).join('  '),
      ]),
    )
  }
}

function modelWords({ answer, drift, reasons }: NonNullable<Inspection['base']>): string {
  if (answer === 'other') return `ANOTHER model than it was trained on: ${reasons.join('; ')}`
  const unseen = reasons.length > 0 ? `, as far as it was compared: ${reasons.join('; ')}` : ''
  return `the model it was trained on${answer === 'same' ? '' : `, rounded or quantised (drift ${round(drift, 2)})`}${unseen}`
}
