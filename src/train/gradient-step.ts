/** The training step's program as the loop sees it. */
import type { Program } from '../graph/engine.ts'
import type { T5Config } from '../t5/config.ts'
import { stepFeeds } from '../t5/step.ts'
import { tensor } from '../tensor/tensor.ts'
import type { JoinedStep } from './together.ts'

/** Feeds batches and their prompts to a loaded step graph. */
export function gradientStep(program: Program, config: T5Config): JoinedStep {
  return async (batch, prompts) => {
    const size = prompts[0]?.length ?? 0
    const data = new Float32Array(prompts.length * size)
    for (const [index, prompt] of prompts.entries()) data.set(prompt, index * size)
    const joined = tensor('F32', [prompts.length, size / config.width, config.width], data)
    const outputs = await program.run(stepFeeds(config, { ...batch, prompts: joined }))
    return {
      rowLoss: outputs['row_loss']?.data as Float32Array,
      rowTokens: outputs['row_tokens']?.data as Float32Array,
      gradient: outputs['gradient_prompts']?.data as Float32Array,
    }
  }
}
