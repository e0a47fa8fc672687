/** Small uses of every operator: gradients are checked on them against differences, engines against the interpreter. */
import type { Builder } from '../../src/graph/builder.ts'
import type { OpName, Value } from '../../src/graph/ir.ts'
import { apply, concat, gather, greater, mul, take, transpose } from '../../src/graph/ops.ts'
import { sizeOf, tensor } from '../../src/tensor/tensor.ts'
import { array, type Array64 } from './interpreter.ts'

export interface Case {
  /** Shapes of the F32 inputs. */
  readonly shapes: readonly (readonly number[])[]
  build(g: Builder, x: Value[]): Value
  /** Moves the values to where the function is smooth. */
  readonly at?: (value: number) => number
}

const op =
  <K extends OpName>(name: K, attributes: object = {}) =>
  (g: Builder, x: Value[]): Value =>
    apply(g, name, x, attributes as never)
const ints = (g: Builder, shape: readonly number[], values: number[]): Value =>
  g.constant(tensor('I64', shape, BigInt64Array.from(values.map(BigInt))))
const truth = (g: Builder, x: Value): Value => apply(g, 'Cast', [x], { to: 'F32' })
const positive = (value: number): number => Math.abs(value) + 0.5
const awayFromZero = (value: number): number => value + Math.sign(value) * 0.1

const gemms: Case[] = [false, true].flatMap((transA) =>
  [false, true].map((transB) => ({
    shapes: [transA ? [3, 2] : [2, 3], transB ? [4, 3] : [3, 4]],
    build: op('Gemm', { transA, transB }),
  })),
)

/** At least one case for every operator. */
export const CASES: { readonly [K in OpName]: readonly Case[] } = {
  Add: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      build: op('Add'),
    },
    {
      shapes: [
        [2, 1, 3],
        [4, 1],
      ],
      build: op('Add'),
    },
  ],
  Sub: [{ shapes: [[2, 3], [3]], build: op('Sub') }],
  Mul: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: op('Mul'),
    },
    { shapes: [[2, 3]], build: (g, [x]) => mul(g, x!, x!) }, // used twice
  ],
  Div: [{ shapes: [[2, 3], [3]], build: op('Div'), at: positive }],
  Greater: [{ shapes: [[2, 3], [3]], build: (g, [a, b]) => truth(g, greater(g, a!, b!)) }],
  Where: [{ shapes: [[2, 3], [3]], build: (g, [a, b]) => apply(g, 'Where', [greater(g, a!, b!), a!, g.scalar(0)], {}) }],
  Clip: [{ shapes: [[2, 3]], build: op('Clip', { min: -0.5, max: 1 }) }],
  Cast: [{ shapes: [[2, 3]], build: (g, [x]) => truth(g, greater(g, x!, g.scalar(0))) }],
  ReduceMax: [{ shapes: [[2, 3]], build: op('ReduceMax') }],
  Slice: [
    { shapes: [[2, 5]], build: op('Slice', { axis: 1, start: 1, end: 3, size: 2 }) },
    { shapes: [[4, 2]], build: op('Slice', { axis: 0, start: 3, size: 1 }) },
  ],
  OneHot: [{ shapes: [[1]], build: (g, [x]) => mul(g, x!, apply(g, 'OneHot', [ints(g, [3], [2, 0, 2])], { depth: 4 })) }],
  Pick: [{ shapes: [[2, 3]], build: (g, [x]) => apply(g, 'Pick', [x!, ints(g, [2, 1], [2, 0])], {}) }],
  ScatterAdd: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: (g, [x, y]) => apply(g, 'ScatterAdd', [x!, ints(g, [2, 1], [2, 0]), y!], {}),
    },
  ],
  Range: [{ shapes: [[3]], build: (g, [x]) => mul(g, x!, apply(g, 'Cast', [apply(g, 'Range', [], { size: 3 })], { to: 'F32' })) }],
  Neg: [{ shapes: [[2, 3]], build: op('Neg') }],
  Sqrt: [{ shapes: [[2, 3]], build: op('Sqrt'), at: positive }],
  Relu: [{ shapes: [[4, 3]], build: op('Relu'), at: awayFromZero }],
  Step: [{ shapes: [[4, 3]], build: op('Step'), at: awayFromZero }],
  Sigmoid: [{ shapes: [[2, 3]], build: op('Sigmoid') }],
  Gemm: gemms,
  MatMul: [
    {
      shapes: [
        [2, 2, 3],
        [2, 3, 4],
      ],
      build: op('MatMul'),
    },
    {
      shapes: [
        [2, 2, 3],
        [3, 4],
      ],
      build: op('MatMul'),
    }, // batch axes broadcast
  ],
  ReduceSum: [
    { shapes: [[2, 3, 4]], build: op('ReduceSum', { axes: [1], keep: true }) },
    { shapes: [[2, 3, 4]], build: op('ReduceSum', { axes: [0, 2], keep: false }) },
  ],
  Softmax: [{ shapes: [[2, 2, 3]], build: op('Softmax') }],
  Log: [{ shapes: [[2, 3]], build: op('Log'), at: positive }],
  CrossEntropy: [0, 0.3].map((zLoss) => ({
    shapes: [[3, 4]],
    build: (g, [x]) => apply(g, 'CrossEntropy', [x!, ints(g, [3], [2, -100, 0])], { zLoss }),
  })),
  RmsNorm: [{ shapes: [[2, 4], [4]], build: op('RmsNorm', { epsilon: 0.01 }) }],
  Gelu: [{ shapes: [[3, 4]], build: op('Gelu') }],
  Reshape: [{ shapes: [[2, 6]], build: op('Reshape', { shape: [3, 4] }) }],
  Expand: [{ shapes: [[2, 1]], build: op('Expand', { shape: [3, 2, 4] }) }],
  Transpose: [
    { shapes: [[2, 3, 4]], build: op('Transpose', { perm: [2, 0, 1] }) },
    { shapes: [[2, 3, 4]], build: (g, [x]) => transpose(g, mul(g, transpose(g, x!, [1, 2, 0]), g.scalar(2)), [2, 1, 0]) },
  ],
  Concat: [
    {
      shapes: [
        [2, 3],
        [2, 4],
      ],
      build: (g, [a, b]) => concat(g, a!, b!, 1, 7),
    },
  ],
  // every row goes somewhere
  Take: [{ shapes: [[3, 2]], build: (g, [x]) => take(g, x!, ints(g, [1, 3], [2, 0, 1]), ints(g, [3], [1, 2, 0])) }],
  Gather: [{ shapes: [[3, 2]], build: (g, [x]) => gather(g, x!, ints(g, [2, 2], [2, 0, 2, 2])) }], // rows used twice
}

/** Values that look random and are the same in every run. */
export function numbers(shape: readonly number[], seed: number): Array64 {
  return array(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, index) => 2 * Math.sin(12.9898 * (index + 1) + 78.233 * (seed + 1))),
  )
}
