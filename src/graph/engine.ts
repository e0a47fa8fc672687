/** What runs a graph. An engine is onnxruntime (cpu, webgpu, cuda, …) or tfjs; the core knows only this. */
import type { Tensor } from '../tensor/tensor.ts'
import type { WeightTable } from '../tensor/weights.ts'
import type { Graph } from './ir.ts'

/** What an engine can run; passes choose fusions and decompositions by it, never by an engine's name. */
export interface Capabilities {
  /** `contrib` = onnxruntime's own operators (SimplifiedLayerNormalization, …) are there. */
  readonly contrib: boolean
  /** Weights are mapped from their files instead of copied. */
  readonly externalData: boolean
  /** Several small runs take no longer than a large one: so it is with a processor and its caches, not with a GPU. Default false. */
  readonly small?: boolean
  /** Rows are gathered sooner than transposed. Default false. */
  readonly gathers?: boolean
  /** Memory counts more than time. Default false. */
  readonly lean?: boolean
  /** Products of F16 matrices are worth their rounding: products run in F16, all else in F32. Default false: no device does so unasked. */
  readonly half?: boolean
}

export interface Engine {
  readonly name: string
  readonly capabilities: Capabilities
  /** Compiles a graph whose weights lie where `weights` says. */
  load(graph: Graph, weights: WeightTable): Promise<Program>
}

/** A compiled graph. `run` takes and returns tensors by the graph's input and output names. */
export interface Program {
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>
  dispose(): Promise<void>
}
