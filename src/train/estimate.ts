/** What a run will take, before it begins. */
import type { EncodedExample } from '../data/examples.ts'
import type { Capabilities } from '../graph/engine.ts'
import type { Graph } from '../graph/ir.ts'
import { peakBytes } from '../graph/memory.ts'
import { specialise } from '../graph/passes.ts'
import { findWeight } from '../onnx/emit.ts'
import type { WeightTable } from '../tensor/weights.ts'
import { planBatches, type BatchOptions } from './batches.ts'
import { partCount, SMALL, WHOLE, type PartSize } from './parts.ts'

/** Axes of the largest of some batches. */
export interface LargestBatch {
  readonly rows: number // B
  readonly inputTokens: number // T
  readonly targetTokens: number // U
  /** Tokens of all rows, without padding. */
  readonly tokens: number
}

/** Batches looked at. */
const SAMPLE_BATCHES = 64

export function largestBatch(examples: readonly EncodedExample[], options: BatchOptions): LargestBatch {
  const plan = planBatches(examples, options)
  const lengths = Array.from({ length: SAMPLE_BATCHES }, (_, index) => {
    const rows = plan.at(index).map((row) => examples[row] as EncodedExample)
    const inputs = rows.map(({ inputIds }) => inputIds.length)
    return {
      inputs: Math.max(...inputs),
      targets: Math.max(...rows.map(({ targetIds }) => targetIds.length)),
      tokens: inputs.reduce((sum, each) => sum + each, 0),
    }
  })
  const most = (of: keyof (typeof lengths)[number]): number => Math.max(...lengths.map((each) => each[of]))
  return { rows: options.batch, inputTokens: most('inputs'), targetTokens: most('targets'), tokens: most('tokens') }
}

/** Node, the runtime and what it makes of a graph: 55 MB before anything is loaded, 115 MB with a step of t5-small loaded and none of its weights. */
const PROCESS_BYTES = 115e6

/** Where memory is short, a step's values take no more than this share of the weights: on t5-small two rows at a time, and less than half of PyTorch's memory. */
const LOW_SHARE = 1 / 3

/** How training uses memory. */
export interface MemoryPlan {
  /** About the most that it takes, in bytes: the process, the weights once, and the values of one part of a step while most of them live. */
  readonly bytes: number
  /** How batches are cut. */
  readonly part: PartSize
}

/**
 * @param prompts how many train together, and how long they are
 * @param memory `low`: as few rows at a time as memory for a third of the weights has room for
 */
export function planMemory(
  graph: Graph,
  weights: WeightTable,
  capabilities: Capabilities,
  batches: readonly LargestBatch[],
  prompts: { readonly count: number; readonly length: number },
  memory: 'fast' | 'low' = 'fast',
): MemoryPlan {
  const stored = [...new Set(graph.weights.map((weight) => findWeight(weight, weights)[1]))].reduce(
    (sum, { sizeBytes }) => sum + sizeBytes,
    0,
  )
  const total = (of: keyof LargestBatch): number => batches.reduce((sum, batch) => sum + batch[of], 0)
  const widest = (of: keyof LargestBatch): number => Math.max(...batches.map((batch) => batch[of]))
  const [rows, length, inputs] = [total('rows'), prompts.length, widest('inputTokens')]
  const special = specialise(graph, capabilities)
  const positions = rows * length + total('tokens')
  const valueBytes = (size: PartSize): number => {
    const most = Math.ceil(rows / partCount(rows, positions, size))
    const tokens = Math.min(total('tokens'), most * inputs) + 1
    const symbols = {
      B: most,
      T: inputs,
      U: widest('targetTokens'),
      S: length + inputs,
      K: prompts.count,
      P: length,
      M: tokens,
      N: most * length + tokens,
    }
    return peakBytes(special, new Map(Object.entries(symbols)))
  }
  const usual = capabilities.small ? SMALL : WHOLE
  const room = Math.floor((rows * stored * LOW_SHARE) / valueBytes(WHOLE))
  const part = memory === 'low' ? { ...usual, most: Math.max(1, room) * (length + inputs) } : usual
  return { bytes: PROCESS_BYTES + stored + valueBytes(part), part }
}
