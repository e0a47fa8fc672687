/** The training step's program as the loop sees it. */
import type { Program } from '../graph/engine.ts'
import type { Graph } from '../graph/ir.ts'
import type { T5Config } from '../t5/config.ts'
import { dropoutFeeds } from '../t5/dropout.ts'
import { stepFeeds } from '../t5/step.ts'
import { tensor } from '../tensor/tensor.ts'
import type { JoinedStep } from './together.ts'

/** Feeds batches and their prompts to a loaded step graph; one with dropout also needs its graph and rate, to draw the masks. */
export function gradientStep(program: Program, config: T5Config, dropout?: { readonly graph: Graph; readonly rate: number }): JoinedStep {
  return async (batch, prompts) => {
    const size = prompts[0]?.length ?? 0
    const data = new Float32Array(prompts.length * size)
    for (const [index, prompt] of prompts.entries()) data.set(prompt, index * size)
    const joined = tensor('F32', [prompts.length, size / config.width, config.width], data)
    const feeds = stepFeeds(config, { ...batch, prompts: joined })
    const masks = dropout ? dropoutFeeds(dropout.graph, feeds, dropout.rate, batch.dropoutSeed ?? 0) : {}
    const outputs = await program.run({ ...feeds, ...masks })
    return {
      rowLoss: outputs['row_loss']?.data as Float32Array,
      rowTokens: outputs['row_tokens']?.data as Float32Array,
      gradient: outputs['gradient_prompts']?.data as Float32Array,
    }
  }
}
