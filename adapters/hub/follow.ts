/**
 * A signal that aborts with others. Unlike `AbortSignal.any`, what it makes is held by them: on Node 20 a joined signal, and the response that fetch
 * knows only weakly, may be collected while somebody waits for a body that hangs, and an abort then wakes nobody.
 */

export interface Following {
  readonly signal: AbortSignal
  /** Keeps a value for as long as the signals are followed. */
  hold(value: object): void
  stop(): void
}

/** Follows signals until `stop`; the first that aborts gives the reason. */
export function follow(signals: readonly (AbortSignal | null | undefined)[]): Following {
  const followed = signals.filter((signal) => signal instanceof AbortSignal)
  const controller = new AbortController()
  const held: object[] = []
  const abort = (): void => {
    const first = followed.find(({ aborted }) => aborted)
    if (first) controller.abort(first.reason)
  }
  for (const signal of followed) signal.addEventListener('abort', abort)
  abort()
  return {
    signal: controller.signal,
    hold: (value) => void held.push(value),
    stop: () => {
      for (const signal of followed) signal.removeEventListener('abort', abort)
      held.length = 0
    },
  }
}
