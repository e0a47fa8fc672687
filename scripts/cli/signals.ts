/** Ctrl-C and SIGTERM: the first lets a command end in good order, the second ends it at once. */
import { SoftPromptError } from '../../src/errors.ts'

/** Exit codes of a command that a signal ended, as shells give them: 128 and the signal's number. */
const CODES = { SIGINT: 130, SIGTERM: 143 } as const
type Stopping = keyof typeof CODES

export interface Stop {
  readonly signal: AbortSignal
  /** Whether an error says no more than that the signal came. */
  isStop(error: unknown): boolean
  /** Leaves signals to others. */
  end(): void
}

/** Ctrl-C ends all programs of a pipe (`train | tee log`): with nobody left to read it, what is to be saved is saved all the same. */
function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error').on('error', () => {})
}

/** Aborts at the first signal, and lets the process end with the code that it stands for. @param onStop told of it */
export function stopOnSignals(onStop: () => void): Stop {
  const stop = new AbortController()
  const listen = (name: Stopping) => (): void => {
    end()
    process.exitCode = CODES[name]
    outliveReaders()
    onStop()
    stop.abort()
  }
  const listeners = (Object.keys(CODES) as Stopping[]).map((name) => [name, listen(name)] as const)
  // Without a listener a signal ends the process: so does the second.
  const end = (): void => {
    for (const [name, listener] of listeners) process.off(name, listener)
  }
  for (const [name, listener] of listeners) process.on(name, listener)
  return {
    signal: stop.signal,
    isStop: (error) =>
      stop.signal.aborted &&
      (error === stop.signal.reason ||
        (error instanceof Error && error.name === 'AbortError') ||
        (error instanceof SoftPromptError && error.code === 'hub-aborted')),
    end,
  }
}
