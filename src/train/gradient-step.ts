/** The training step's program as the loop sees it. */
import type { Program } from '../graph/engine.ts'
import type { T5Config } from '../t5/config.ts'
import { stepFeeds } from '../t5/step.ts'
import { tensor } from '../tensor/tensor.ts'
import type { GradientStep } from './loop.ts'

/** Feeds batches and one prompt to a loaded step graph. */
export function gradientStep(program: Program, config: T5Config): GradientStep {
  return async (batch, prompt) => {
    const prompts = tensor('F32', [1, prompt.length / config.width, config.width], prompt)
    const outputs = await program.run(stepFeeds(config, { ...batch, prompts }))
    return {
      rowLoss: outputs['row_loss']?.data as Float32Array,
      rowTokens: outputs['row_tokens']?.data as Float32Array,
      gradient: outputs['gradient_prompts']?.data as Float32Array,
    }
  }
}
