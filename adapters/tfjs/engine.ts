/** Engine over an injected TensorFlow.js: an interpreter of graphs that frees each tensor after its last use. */
import { ShapeError, UnsupportedError } from '../../src/errors.ts'
import { evaluateDim } from '../../src/graph/dims.ts'
import type { Capabilities, Engine, Program } from '../../src/graph/engine.ts'
import type { Dim, Graph, Node, Value } from '../../src/graph/ir.ts'
import { specialise, type Elementary } from '../../src/graph/passes.ts'
import { symbolValues } from '../../src/graph/symbols.ts'
import { findWeight } from '../../src/onnx/emit.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'
import type { WeightRef } from '../../src/tensor/weights.ts'
import { RUN, TF_DTYPE, type Call } from './ops.ts'
import type { TfTensor, Tfjs } from './runtime.ts'
import { createWeightStore } from './weights.ts'

export interface EngineOptions {
  /** What the engine calls itself; default: `tfjs-` and the backend. */
  readonly name?: string
}

const CAPABILITIES = { contrib: false, externalData: false } as const satisfies Capabilities
const OLDEST = 4

/**
 * Makes an engine of the TensorFlow.js the app has loaded, on the backend it has chosen.
 * @throws {UnsupportedError} `tfjs-version` for one older than 4
 */
export async function createEngine(tf: Tfjs, options: EngineOptions = {}): Promise<Engine> {
  if (Number.parseInt(tf.version_core, 10) < OLDEST) {
    throw new UnsupportedError('tfjs-version', `TensorFlow.js ${tf.version_core} is too old: install version ${OLDEST}.22.0.`, {
      facts: { got: tf.version_core },
    })
  }
  await tf.ready()
  const backend = tf.getBackend()
  const store = createWeightStore(tf)
  return {
    name: options.name ?? `tfjs-${backend}`,
    capabilities: CAPABILITIES,
    load: async (graph, weights) => {
      const special = specialise(graph, CAPABILITIES)
      const used = special.weights.map((weight) => ({ id: weight.value.id, found: findWeight(weight, weights) }))
      const tensors = new Map<number, TfTensor>()
      const held: WeightRef[] = []
      const release = async (): Promise<void> => {
        for (const ref of held.splice(0)) await store.release(ref)
      }
      try {
        for (const { id, found } of used) {
          tensors.set(id, await store.acquire(...found))
          held.push(found[1])
        }
        return program(tf, backend, special, tensors, release)
      } catch (cause) {
        await release()
        throw cause
      }
    },
  }
}

/** The nodes with the values that nothing reads after each. */
function plan(graph: Graph<Elementary>): { readonly node: Node<Elementary>; readonly done: readonly number[] }[] {
  const kept = new Set([...graph.outputs, ...graph.weights].map(({ value }) => value.id))
  return graph.nodes
    .toReversed()
    .map((node) => {
      const done = [...node.inputs, ...node.outputs].map(({ id }) => id).filter((id) => !kept.has(id))
      for (const id of done) kept.add(id)
      return { node, done }
    })
    .toReversed()
}

function program(
  tf: Tfjs,
  backend: string,
  graph: Graph<Elementary>,
  weights: ReadonlyMap<number, TfTensor>,
  release: () => Promise<void>,
): Program {
  const steps = plan(graph)
  let disposed = false
  return {
    run: async (feeds) => {
      if (disposed) throw new UnsupportedError('engine-disposed', 'The program was disposed of; load the graph again.')
      // tfjs has one backend a process, whoever chose it: another than at the start would train elsewhere without a word
      if (tf.getBackend() !== backend) {
        const message = `The tfjs backend was ${backend} when the engine was made and is ${tf.getBackend()} now; make the engine anew.`
        throw new UnsupportedError('engine-backend', message, { facts: { expected: backend, got: tf.getBackend() } })
      }
      const symbols = symbolValues(graph, feeds)
      const size = (dim: Dim): number => evaluateDim(dim, symbols)
      const results = tf.tidy(() => {
        const values = new Map(weights)
        const get = ({ id }: Value): TfTensor => values.get(id) as TfTensor
        for (const { name, value } of graph.inputs) values.set(value.id, toTf(tf, name, feeds[name] as Tensor))
        for (const constant of graph.constants) values.set(constant.value.id, toTf(tf, 'a constant', constant.tensor))
        for (const { node, done } of steps) {
          const [output] = node.outputs as readonly [Value]
          const made = tf.tidy(() => apply(tf, node, node.inputs.map(get), output.shape.map(size), size))
          values.set(output.id, made)
          for (const id of done) {
            values.get(id)?.dispose()
            values.delete(id)
          }
        }
        return graph.outputs.map(({ value }) => get(value))
      })
      try {
        const named: Record<string, Tensor> = {}
        for (const [index, { name, value }] of graph.outputs.entries()) named[name] = await fromTf(results[index] as TfTensor, value)
        return named
      } finally {
        for (const [index, result] of results.entries()) if (!weights.has(graph.outputs[index]?.value.id as number)) result.dispose()
      }
    },
    dispose: async () => {
      if (disposed) return
      disposed = true
      await release()
    },
  }
}

function apply(
  tf: Tfjs,
  node: Node<Elementary>,
  inputs: readonly TfTensor[],
  shape: readonly number[],
  size: (dim: Dim) => number,
): TfTensor {
  const run = RUN[node.op] as ((call: Call<Elementary>) => TfTensor) | undefined
  if (!run) throw new UnsupportedError('engine-op', `${node.op} was not taken apart for tfjs.`, { facts: { op: node.op } })
  const call = { tf, inputs, attributes: node.attributes, shape, size } as unknown as Call<Elementary>
  try {
    return run(call)
  } catch (cause) {
    const message = `tfjs could not run ${node.op}: ${cause instanceof Error ? cause.message : String(cause)}`
    throw new UnsupportedError('engine-run', message, { cause, facts: { op: node.op } })
  }
}

function toTf(tf: Tfjs, name: string, fed: Tensor): TfTensor {
  const { dtype, shape, data } = tensor(fed.dtype, fed.shape, fed.data)
  const type = TF_DTYPE[dtype]
  if (dtype === 'F16' || dtype === 'BF16') {
    throw new UnsupportedError('engine-dtype', `${name} is ${dtype}, which cannot be fed to tfjs; convert it to F32.`, {
      facts: { name, dtype },
    })
  }
  if (type === 'float32')
    return tf.tensor(dtype === 'F32' ? (data as Float32Array) : Float32Array.from(data as Float64Array), [...shape], type)
  if (type === 'bool') return tf.tensor(data as Uint8Array, [...shape], type)
  const ints = Int32Array.from(data as ArrayLike<number | bigint>, Number)
  if (dtype === 'I64' && (data as BigInt64Array).some((value, index) => BigInt(ints[index] as number) !== value)) {
    throw new ShapeError('engine-int64', `${name} holds a number beyond 32 bits; tfjs has no 64-bit integers.`, { facts: { name } })
  }
  return tf.tensor(ints, [...shape], type)
}

async function fromTf(result: TfTensor, { dtype }: Value): Promise<Tensor> {
  const data = await result.data()
  if (dtype === 'I64') return tensor(dtype, result.shape, BigInt64Array.from(data as Int32Array, BigInt))
  if (dtype === 'BOOL') return tensor(dtype, result.shape, Uint8Array.from(data))
  return tensor('F32', result.shape, Float32Array.from(data))
}
