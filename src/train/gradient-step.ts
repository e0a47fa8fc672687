/** The training step's program as the loop sees it. */
import type { Program } from '../graph/engine.ts'
import type { Graph } from '../graph/ir.ts'
import type { T5Config } from '../t5/config.ts'
import { dropoutFeeds } from '../t5/dropout.ts'
import { stepFeeds } from '../t5/step.ts'
import { tensor } from '../tensor/tensor.ts'
import { splitBatch, WHOLE, type PartSize } from './parts.ts'
import type { JoinedStep } from './together.ts'

export interface GradientStepOptions {
  /** Batches that are larger run in parts. Absent = whole. */
  readonly part?: PartSize
  /** The step's graph and rate, where it has dropout, to draw the masks. */
  readonly dropout?: { readonly graph: Graph; readonly rate: number }
}

/** Feeds batches and their prompts to a loaded step graph. */
export function gradientStep(program: Program, config: T5Config, { part = WHOLE, dropout }: GradientStepOptions = {}): JoinedStep {
  return async (batch, prompts) => {
    const size = prompts[0]?.length ?? 0
    const data = new Float32Array(prompts.length * size)
    for (const [index, prompt] of prompts.entries()) data.set(prompt, index * size)
    const joined = tensor('F32', [prompts.length, size / config.width, config.width], data)
    const rowLoss = new Float32Array(batch.rowWeight.data.length)
    const rowTokens = new Float32Array(rowLoss.length)
    const gradient = new Float32Array(data.length)
    for (const { rows, batch: each } of splitBatch(batch, size / config.width, part)) {
      const feeds = stepFeeds(config, { ...each, prompts: joined })
      const masks = dropout ? dropoutFeeds(dropout.graph, feeds, dropout.rate, each.dropoutSeed ?? 0) : {}
      const outputs = await program.run({ ...feeds, ...masks })
      for (const [index, row] of rows.entries()) {
        rowLoss[row] = outputs['row_loss']?.data[index] as number
        rowTokens[row] = outputs['row_tokens']?.data[index] as number
      }
      const share = outputs['gradient_prompts']?.data as Float32Array
      for (const [index, value] of share.entries()) gradient[index] = (gradient[index] as number) + value
    }
    return { rowLoss, rowTokens, gradient }
  }
}
