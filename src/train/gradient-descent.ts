/** AdamW (Loshchilov & Hutter 2019, as torch.optim.AdamW: decay multiplied by the rate) and SGD with momentum (torch.optim.SGD). */
import type { Optimizer } from './optimizer.ts'

const BETA1 = 0.9
const BETA2 = 0.999
const ADAM_EPSILON = 1e-8

/** AdamW with PyTorch's defaults (0.9, 0.999, 1e-8). */
export function adamw({ weightDecay }: { readonly weightDecay: number }): Optimizer {
  return {
    create: (size) => ({ step: 0, moments: { m: new Float32Array(size), v: new Float32Array(size) } }),
    update: (state, parameter, gradient, learningRate) => {
      state.step += 1
      const m = state.moments['m'] as Float32Array
      const v = state.moments['v'] as Float32Array
      const first = 1 - BETA1 ** state.step
      const second = 1 - BETA2 ** state.step
      for (let index = 0; index < parameter.length; index++) {
        const g = gradient[index] as number
        m[index] = BETA1 * (m[index] as number) + (1 - BETA1) * g
        v[index] = BETA2 * (v[index] as number) + (1 - BETA2) * g * g
        const step = (m[index] as number) / first / (Math.sqrt((v[index] as number) / second) + ADAM_EPSILON)
        parameter[index] = (1 - learningRate * weightDecay) * (parameter[index] as number) - learningRate * step
      }
    },
  }
}

/** SGD with momentum 0.9 and L2 decay added to the gradient, as torch.optim.SGD. */
export function sgd({ weightDecay }: { readonly weightDecay: number }): Optimizer {
  return {
    create: (size) => ({ step: 0, moments: { m: new Float32Array(size) } }),
    update: (state, parameter, gradient, learningRate) => {
      state.step += 1
      const m = state.moments['m'] as Float32Array
      for (let index = 0; index < parameter.length; index++) {
        const g = (gradient[index] as number) + weightDecay * (parameter[index] as number)
        // PyTorch's first momentum buffer is the gradient itself.
        m[index] = state.step === 1 ? g : BETA1 * (m[index] as number) + g
        parameter[index] = (parameter[index] as number) - learningRate * (m[index] as number)
      }
    },
  }
}
