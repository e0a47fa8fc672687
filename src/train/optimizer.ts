/** What an optimizer is: a pure rule over flat F32 arrays whose state is plain data, so that a resumed run is the same run. */

/** State of one trainable. `moments` are named arrays of the trainable's size. */
export interface OptimizerState {
  /** Updates done. */
  step: number
  readonly moments: Readonly<Record<string, Float32Array>>
}

export interface Optimizer {
  /** Fresh state for a trainable of `size` values. */
  create(size: number): OptimizerState
  /** One update of `parameter` by `gradient`, in place; `learningRate` is this step's. Advances `state`. */
  update(state: OptimizerState, parameter: Float32Array, gradient: Float32Array, learningRate: number): void
}

/** Root mean square of an array. */
export function rms(values: Float32Array): number {
  let sum = 0
  for (const value of values) sum += value * value
  return Math.sqrt(sum / values.length)
}

/** Scales `gradient` in place so that its norm is at most `most`; returns the norm before. */
export function clipNorm(gradient: Float32Array, most: number): number {
  const norm = rms(gradient) * Math.sqrt(gradient.length)
  if (norm > most) for (let index = 0; index < gradient.length; index++) gradient[index] = ((gradient[index] as number) * most) / norm
  return norm
}
