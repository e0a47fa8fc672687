/** Engine over an injected onnxruntime: graphs become ONNX models whose weights point into the checkpoint's own files. */
import type { InferenceSession, Tensor as OrtTensor, TensorConstructor, InferenceSessionFactory } from 'onnxruntime-common'
import { ShapeError, UnsupportedError } from '../../src/errors.ts'
import type { Capabilities, Engine, Program } from '../../src/graph/engine.ts'
import { specialise } from '../../src/graph/passes.ts'
import { emitModel } from '../../src/onnx/emit.ts'
import { formatModel } from '../../src/onnx/model.ts'
import type { Dtype, Tensor } from '../../src/tensor/tensor.ts'
import { deviceFailed, deviceOf } from './devices.ts'
import { openProfile, tinyFeeds } from './placement.ts'
import { placeWeights } from './weights.ts'

/** What is used of onnxruntime-node or onnxruntime-web. */
export interface OnnxRuntime {
  readonly InferenceSession: InferenceSessionFactory
  readonly Tensor: TensorConstructor
  /** In onnxruntime-node only. */
  readonly listSupportedBackends?: () => unknown
}

export interface EngineOptions {
  /** Execution provider: `cpu` (default), `webgpu`, `cuda`, `dml`, `coreml`, `wasm`. */
  readonly device?: string
  /** Threads of one run; absent = the runtime's choice. */
  readonly threads?: number
  /** `low` maps the weights without copies of them, packed for speed: about a tenth slower. */
  readonly memory?: 'fast' | 'low'
  /** Overrides what the device is taken to run: `{ contrib: false }` keeps to standard operators. */
  readonly capabilities?: Partial<Capabilities>
}

const ORT_TYPE = {
  F32: 'float32',
  F64: 'float64',
  F16: 'float16',
  I64: 'int64',
  I32: 'int32',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
} as const
type OrtType = (typeof ORT_TYPE)[keyof typeof ORT_TYPE]
const DTYPE: Readonly<Record<string, Dtype>> = Object.fromEntries(Object.entries(ORT_TYPE).map(([dtype, name]) => [name, dtype as Dtype]))

/** Makes an engine of the runtime the app has loaded. On a device other than the CPU, loading runs the graph once, tiny, and refuses it if the CPU took part. */
export function createEngine(ort: OnnxRuntime, options: EngineOptions = {}): Engine {
  const device = options.device ?? 'cpu'
  const { capabilities: usual, checked } = deviceOf(device)
  const capabilities = { ...usual, lean: options.memory === 'low', ...options.capabilities }
  // A profile is a file, so where there are none (a browser) placement goes unchecked.
  const profiled = checked && ort.listSupportedBackends !== undefined
  return {
    name: `onnxruntime-${device}`,
    capabilities,
    load: async (graph, weights) => {
      const { place, folder } = await placeWeights(graph, weights, capabilities.externalData)
      const bytes = formatModel(emitModel(specialise(graph, capabilities), weights, place))
      const sessionOptions: SessionOptions = {
        executionProviders: [device],
        logSeverityLevel: 3, // errors only: they are thrown, and the rest is no user's concern
        // planned memory grows with every new batch shape and gains no time
        enableMemPattern: false,
        ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
        extra: {
          session: {
            ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
            ...(options.memory === 'low' ? { disable_prepacking: '1' } : {}),
            // work in blocks that shrink: a thread that was held up does not hold up the others
            dynamic_block_base: '4',
          },
          // Folding makes a copy of each weight that is seen in another shape.
          ...(options.memory === 'low' ? { optimization: { disable_specified_optimizers: 'ConstantFolding' } } : {}),
        },
      }
      if (!profiled) return program(ort, await createSession(ort, bytes, device, sessionOptions))
      const profile = await openProfile()
      try {
        const session = await createSession(ort, bytes, device, { ...sessionOptions, ...profile.options })
        const loaded = program(ort, session)
        try {
          await loaded.run(tinyFeeds(graph))
          session.endProfiling()
          await profile.check(graph, device)
        } catch (cause) {
          await loaded.dispose()
          throw cause
        }
        return loaded
      } finally {
        await profile.remove()
      }
    },
  }
}

type SessionOptions = InferenceSession.SessionOptions

const createSession = (ort: OnnxRuntime, bytes: Uint8Array, device: string, options: SessionOptions): Promise<InferenceSession> =>
  ort.InferenceSession.create(bytes, options).catch((cause: unknown) => {
    if (/backend not found|WebGPU adapter|shared library|providers_/i.test(String(cause))) throw deviceFailed(device, cause)
    return failed('engine-load', 'load the graph', cause)
  })

function failed(code: string, doing: string, cause: unknown): never {
  throw new UnsupportedError(code, `onnxruntime could not ${doing}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
}
const list = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(', '))

function program(ort: OnnxRuntime, session: InferenceSession): Program {
  return {
    run: async (feeds) => {
      const missing = session.inputNames.filter((name) => !feeds[name])
      const unknown = Object.keys(feeds).filter((name) => !session.inputNames.includes(name))
      if (missing.length + unknown.length > 0) {
        const facts = { missing, unknown }
        throw new ShapeError('engine-feeds', `Feeds and inputs differ: missing ${list(missing)}, unknown ${list(unknown)}.`, { facts })
      }
      const given = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, toOrt(ort, value)]))
      const results = await session.run(given).catch((cause: unknown) => failed('engine-run', 'run the graph', cause))
      return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, fromOrt(value as OrtTensor)]))
    },
    dispose: () => session.release(),
  }
}

function toOrt(ort: OnnxRuntime, { dtype, shape, data }: Tensor): OrtTensor {
  if (dtype === 'BF16') throw new UnsupportedError('engine-dtype', 'BF16 tensors cannot be fed to onnxruntime; convert them to F32.')
  const make = ort.Tensor as unknown as new (type: OrtType, data: unknown, dims: readonly number[]) => OrtTensor
  return new make(ORT_TYPE[dtype], data, shape)
}

function fromOrt({ type, dims, data }: OrtTensor): Tensor {
  const dtype = DTYPE[type]
  if (dtype === undefined) throw new UnsupportedError('engine-dtype', `onnxruntime returned a tensor of type ${type}.`, { facts: { type } })
  return { dtype, shape: dims, data } as unknown as Tensor
}
