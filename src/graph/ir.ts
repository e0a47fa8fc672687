/** The graph as plain values: one typed table of operators and their attributes. Operators and their meaning are ONNX's unless said otherwise. */
import type { Dtype, Tensor } from '../tensor/tensor.ts'

/** An axis: a number, or a product of symbols such as `B*S` (sorted factors, coefficient first; made by `times`). */
export type Dim = number | string
export type Shape = readonly Dim[]

export interface ValueType {
  readonly dtype: Dtype
  readonly shape: Shape
}

/** One tensor of a graph, made once. */
export interface Value extends ValueType {
  readonly id: number
}

type None = Readonly<Record<never, never>>

/** Every operator with its attributes. Inputs and outputs are listed where they are not obvious. */
export interface OpAttributes {
  // elementwise, with broadcasting
  Add: None
  Sub: None
  Mul: None
  Div: None
  Greater: None
  /** condition, a, b -> a where the condition holds, else b */
  Where: None
  Neg: None
  Sqrt: None
  Relu: None
  /** 1 where x > 0, else 0; not in ONNX */
  Step: None
  Log: None
  Sigmoid: None
  Clip: { readonly min: number; readonly max: number }
  Cast: { readonly to: Dtype }
  // linear algebra
  /** a, b -> op(a)·op(b), both of rank 2; a sum as ONNX's third input takes onnxruntime longer than one apart */
  Gemm: { readonly transA: boolean; readonly transB: boolean }
  MatMul: None // batched
  // reductions
  /** Over the last axis, kept as 1. */
  ReduceMax: None
  ReduceSum: { readonly axes: readonly number[]; readonly keep: boolean }
  /** Over the last axis. */
  Softmax: None
  /**
   * logits [N, V], labels [N] (negative = ignored, loss 0) -> loss [N], probabilities [N, V]; not in ONNX. `zLoss` times the square of
   * log Σ exp(logits) is added to the loss (T5X `cross_entropy_with_logits`).
   */
  CrossEntropy: { readonly zLoss: number }
  /** x [.., D], weight [D] -> y [.., D], inverse root mean square [.., 1]; the mean is not subtracted (T5 layer norm) */
  RmsNorm: { readonly epsilon: number }
  /** x -> gelu(x) by the tanh approximation ("gelu_new"), and the gate σ(…) with gelu(x) = x·gate */
  Gelu: None
  // structure
  Reshape: { readonly shape: Shape }
  Expand: { readonly shape: Shape }
  Transpose: { readonly perm: readonly number[] }
  /** `size` is the resulting axis. */
  Concat: { readonly axis: number; readonly size: Dim }
  /** Elements [start, end) of one axis; `size` is the resulting axis, `end` absent = to its end. */
  Slice: { readonly axis: number; readonly start: Dim; readonly end?: Dim; readonly size: Dim }
  /** Rows of axis 0: data [N, ..], indices [..] */
  Gather: None
  /**
   * Rows that only change places: data [N, ..], indices [..], inverse [..] -> rows of data. `inverse` says where each row of data went, and is how gradients come
   * back: a row that is taken twice must have a gradient of 0. Gather in ONNX.
   */
  Take: None
  /** indices [..] -> [depth, ..], 1 where the index is the row's number (axis 0) */
  OneHot: { readonly depth: Dim }
  /** data [N, V], indices [N, 1] -> [N, 1] */
  Pick: None
  /** data [N, V], indices [N, 1], updates [N, 1]: adds into a copy of data */
  ScatterAdd: None
  /** -> [n] i64: 0 … n-1 */
  Range: { readonly size: Dim }
}

export type OpName = keyof OpAttributes

/** One operator applied. */
export type Node<K extends OpName = OpName> = {
  [P in K]: {
    readonly op: P
    readonly inputs: readonly Value[]
    readonly outputs: readonly Value[]
    readonly attributes: OpAttributes[P]
  }
}[K]

export interface Named {
  readonly name: string
  readonly value: Value
}

/** A frozen weight, by PyTorch name; the first of `names` that the checkpoint has is used (tied matrices are stored under any of several). */
export interface Weight {
  readonly names: readonly string[]
  readonly value: Value
}

export interface Constant {
  readonly tensor: Tensor
  readonly value: Value
}

/** What a symbol stands for: a sum of axes (`S` = `P` + `T`), or the one number that a graph input holds (true = 1). */
export type SymbolSource = { readonly sum: readonly Dim[] } | { readonly input: string }

/** Nodes stand in an order in which each comes after what it reads; `K` are the operators that may be among them. */
export interface Graph<K extends OpName = OpName> {
  readonly name: string
  readonly inputs: readonly Named[]
  readonly outputs: readonly Named[]
  readonly weights: readonly Weight[]
  readonly constants: readonly Constant[]
  readonly nodes: readonly Node<K>[]
  /** Symbols that are computed; one may be an axis of an input too. */
  readonly symbols: ReadonlyMap<string, SymbolSource>
}
