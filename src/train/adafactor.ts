/**
 * Adafactor as google-research/prompt-tuning runs it (T5X `adafactor.py`): the second moment is not factored, parameters are not scaled, there is no momentum, and weight
 * decay is not multiplied by the learning rate. Transformers' Adafactor differs in each of the last points and factors 2-D parameters.
 */
import type { Optimizer } from './optimizer.ts'

export interface AdafactorOptions {
  /** Steps counted before the first: T5X goes on from the checkpoint's 1,100,000. */
  readonly stepOffset: number
  readonly weightDecay: number
  /** Updates are scaled down to this root mean square. */
  readonly clipThreshold?: number
  readonly decayRate?: number
}

/** Keeps the second moment positive; the value of T5X. */
const EPSILON = 1e-30

/** `b = 1 − t^−0.8; v = b·v + (1 − b)(g² + ε); y = g/√v; y /= max(1, RMS(y)); p = (1 − wd)·p − lr·y` */
export function adafactor({ stepOffset, weightDecay, clipThreshold = 1, decayRate = 0.8 }: AdafactorOptions): Optimizer {
  return {
    create: (size) => ({ step: 0, moments: { v: new Float32Array(size) } }),
    update: (state, parameter, gradient, learningRate) => {
      state.step += 1
      const v = state.moments['v'] as Float32Array
      const b = 1 - (state.step + stepOffset) ** -decayRate
      const size = parameter.length
      let sum = 0
      for (let index = 0; index < size; index++) {
        const g = gradient[index] as number
        const second = Math.fround(b * (v[index] as number) + (1 - b) * (g * g + EPSILON))
        v[index] = second
        sum += (g * g) / second
      }
      const rate = learningRate / Math.max(1, Math.sqrt(sum / size) / clipThreshold)
      for (let index = 0; index < size; index++) {
        const update = (gradient[index] as number) / Math.sqrt(v[index] as number)
        parameter[index] = (1 - weightDecay) * (parameter[index] as number) - rate * update
      }
    },
  }
}
