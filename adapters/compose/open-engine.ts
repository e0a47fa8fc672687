/** The engine that options name; its runtime is loaded only here, when it is needed. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { ConfigError, SoftPromptError, UnsupportedError } from '../../src/errors.ts'
import { createBuilder } from '../../src/graph/builder.ts'
import type { Engine } from '../../src/graph/engine.ts'
import { mul } from '../../src/graph/ops.ts'
import { deviceFailed, NODE_DEVICES } from '../onnxruntime/devices.ts'
import { createEngine, type OnnxRuntime } from '../onnxruntime/engine.ts'
import { openTfjs } from '../tfjs/open.ts'

export interface OpenEngineOptions {
  /** `onnxruntime` (default), `tfjs`, or an engine of the app's own runtime. */
  readonly engine?: string | Engine
  /**
   * Of onnxruntime: `cpu` (default), `webgpu`, `cuda`, `dml`, `coreml`, or `auto`, the first that starts of cuda, webgpu, dml and cpu.
   * Of tfjs: `auto` (default), `cuda` or `cpu`.
   */
  readonly device?: string
  readonly threads?: number
  readonly memory?: 'fast' | 'low'
}

const NOT_TFJS: ReadonlySet<string> = new Set(['threads', 'memory'])

/**
 * @throws {ConfigError} `engine-name` | `engine-option` | `engine-device`
 * @throws {UnsupportedError} `engine-missing` where the runtime is not installed, `engine-device-missing`, `tfjs-*`
 */
export async function openEngine(options: OpenEngineOptions = {}): Promise<Engine> {
  const { engine = 'onnxruntime', device, ...rest } = options
  if (typeof engine !== 'string') return engine
  if (engine === 'tfjs') {
    const [unknown] = Object.entries(rest).flatMap(([name, value]) => (NOT_TFJS.has(name) && value !== undefined ? [name] : []))
    if (unknown === undefined) return openTfjs(device === undefined ? {} : { device })
    throw new ConfigError('engine-option', `tfjs has no choice of ${unknown}: leave it out, or use the engine onnxruntime.`, {
      facts: { unknown },
    })
  }
  if (engine !== 'onnxruntime') {
    throw new ConfigError('engine-name', `There is no engine "${engine}". Known: onnxruntime, tfjs.`, { facts: { got: engine } })
  }
  if (device !== undefined && !NODE_DEVICES.some((known) => known === device)) {
    const known = NODE_DEVICES.join(', ')
    throw new ConfigError('engine-device', `There is no device "${device}". Known: ${known}.`, { facts: { got: device } })
  }
  const ort = await openOnnxRuntime()
  return createEngine(ort, { ...rest, device: await chosenDevice(ort, device, rest) })
}

/**
 * The device of onnxruntime that is meant: for `auto` the first that starts.
 * @throws {UnsupportedError} `engine-device-missing`
 */
export async function chosenDevice(
  ort: OnnxRuntime,
  device = 'cpu',
  options: Pick<OpenEngineOptions, 'threads' | 'memory'> = {},
): Promise<string> {
  if (device === 'cuda' && !cudaFiles()) throw deviceFailed('cuda', 'its provider files are not there')
  if (device !== 'auto') return device
  for (const each of [...(cudaFiles() ? ['cuda'] : []), 'webgpu', ...(process.platform === 'win32' ? ['dml'] : [])]) {
    if (await starts(createEngine(ort, { ...options, device: each }))) return each
  }
  return 'cpu'
}

/** onnxruntime-node. @throws {UnsupportedError} `engine-missing` */
export async function openOnnxRuntime(): Promise<OnnxRuntime> {
  const ort = await import('onnxruntime-node').catch((cause: unknown) => {
    throw new UnsupportedError(
      'engine-missing',
      'onnxruntime-node is not installed. Add it to your project: npm install onnxruntime-node',
      { cause },
    )
  })
  // A CommonJS package: its exports may stand under `default`.
  return ('InferenceSession' in ort ? ort : (ort as { default: OnnxRuntime }).default) as OnnxRuntime
}

/** Whether the provider files are there that the npm package leaves out; asking onnxruntime without them prints its own errors. */
function cudaFiles(): boolean {
  const { platform, arch } = process
  const main = createRequire(import.meta.url).resolve('onnxruntime-node')
  return existsSync(join(dirname(main), '..', 'bin', 'napi-v6', platform, arch, 'libonnxruntime_providers_cuda.so'))
}

/** Whether an engine runs one product. */
const starts = async (engine: Engine): Promise<boolean> => (await startError(engine)) === undefined

async function startError(engine: Engine): Promise<SoftPromptError | undefined> {
  const g = createBuilder('start')
  const x = g.input('x', 'F32', ['N'])
  try {
    await (await engine.load(g.finish({ y: mul(g, x, x) }), new Map())).dispose()
    return undefined
  } catch (cause) {
    if (cause instanceof SoftPromptError) return cause
    throw cause
  }
}

/** Why a device of onnxruntime does not start here; undefined where it does. */
export async function deviceError(device: string): Promise<SoftPromptError | undefined> {
  try {
    return await startError(await openEngine({ device }))
  } catch (cause) {
    if (cause instanceof SoftPromptError) return cause
    throw cause
  }
}
