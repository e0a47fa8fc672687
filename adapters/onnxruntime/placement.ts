/** Which device ran each operator: onnxruntime moves what a device lacks to the CPU without a word, and this finds it. */
import { UnsupportedError } from '../../src/errors.ts'
import { evaluateDim } from '../../src/graph/dims.ts'
import type { Graph } from '../../src/graph/ir.ts'
import { ELEMENT_BYTES, sizeOf, tensor, type Dtype, type DtypeArrays, type Tensor } from '../../src/tensor/tensor.ts'
import { builtins, type Builtins } from './builtin.ts'

/** What belongs on the CPU though floats come out: they are made of shapes, positions and indices there. */
const INDEX_OPS: ReadonlySet<string> = new Set(['Shape', 'Cast', 'OneHot'])
const FLOATS: ReadonlySet<string> = new Set(['float', 'float16', 'bfloat16', 'double'])
/** Every axis of a tiny run. */
const TINY = 2

interface NodeEvent {
  readonly cat: string
  readonly args: {
    readonly op_name?: string
    readonly provider?: string
    readonly output_type_shape?: readonly Readonly<Record<string, unknown>>[]
  }
}

/** Of a profile that onnxruntime wrote: the operators on floats that the CPU ran, by name, and whether anything ran elsewhere. */
export function readProfile(profile: string): { readonly onCpu: readonly string[]; readonly elsewhere: boolean } {
  const nodes = (JSON.parse(profile) as NodeEvent[]).filter(({ cat, args }) => cat === 'Node' && args.provider !== undefined)
  const onCpu = nodes.filter(({ args: { op_name: op = '', provider, output_type_shape: outputs = [] } }) => {
    if (provider !== 'CPUExecutionProvider' || INDEX_OPS.has(op)) return false
    return outputs.some((output) => Object.keys(output).some((type) => FLOATS.has(type)))
  })
  return {
    onCpu: [...new Set(onCpu.map(({ args }) => args.op_name as string))].toSorted(),
    elsewhere: nodes.some(({ args }) => args.provider !== 'CPUExecutionProvider'),
  }
}

/** Feeds that fit a graph with every free axis at 2: zeros, which are valid indices everywhere. */
export function tinyFeeds(graph: Graph): Record<string, Tensor> {
  const symbols = new Map<string, number>()
  const free = (name: string): boolean => !graph.symbols.has(name)
  for (const { value } of graph.inputs) {
    for (const dim of value.shape) if (typeof dim === 'string' && free(dim)) symbols.set(dim, TINY)
  }
  for (const [name, source] of graph.symbols) {
    symbols.set(name, 'input' in source ? 1 : source.sum.reduce<number>((sum, dim) => sum + evaluateDim(dim, symbols), 0))
  }
  return Object.fromEntries(
    graph.inputs.map(({ name, value: { dtype, shape } }) => {
      const sizes = shape.map((dim) => evaluateDim(dim, symbols))
      return [name, tensor(dtype, sizes, zeros(dtype, sizeOf(sizes)))]
    }),
  )
}

function zeros<T extends Dtype>(dtype: T, size: number): DtypeArrays[T] {
  const buffer = new ArrayBuffer(size * ELEMENT_BYTES[dtype])
  const make: { readonly [K in Dtype]: (of: ArrayBuffer) => DtypeArrays[K] } = {
    F64: (of) => new Float64Array(of),
    F32: (of) => new Float32Array(of),
    F16: (of) => new Uint16Array(of),
    BF16: (of) => new Uint16Array(of),
    I64: (of) => new BigInt64Array(of),
    I32: (of) => new Int32Array(of),
    I8: (of) => new Int8Array(of),
    U8: (of) => new Uint8Array(of),
    BOOL: (of) => new Uint8Array(of),
  }
  return make[dtype](buffer)
}

/** Session options that write a profile, and a check that reads it. */
export interface Profile {
  readonly options: { readonly enableProfiling: true; readonly profileFilePrefix: string }
  /** Reads the profile. @throws {UnsupportedError} `engine-fallback` naming each operator on floats that the device left to the CPU */
  check(graph: Graph, device: string): Promise<void>
  remove(): Promise<void>
}

/** In Node only. */
export async function openProfile(): Promise<Profile> {
  const { fs, os, path } = builtins() as Builtins
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'soft-prompts-profile-'))
  return {
    options: { enableProfiling: true, profileFilePrefix: path.join(folder, 'profile') },
    check: async (graph, device) => {
      const files = await Promise.all((await fs.readdir(folder)).map((file) => fs.readFile(path.join(folder, file), 'utf8')))
      const read = files.map(readProfile)
      const ops = read.flatMap(({ onCpu }) => onCpu)
      if (ops.length === 0 && read.some(({ elsewhere }) => elsewhere)) return
      const what =
        ops.length === 0 ? `ran nothing of the graph ${graph.name}` : `left ${ops.join(', ')} of the graph ${graph.name} to the CPU`
      const advice = 'Every step would copy to and fro: use another device (webgpu, or cpu), or a newer onnxruntime-node.'
      throw new UnsupportedError('engine-fallback', `The device ${device} ${what}. ${advice}`, { facts: { device, ops } })
    },
    remove: () => fs.rm(folder, { recursive: true, force: true }),
  }
}
