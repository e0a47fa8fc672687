/** Finds an installed TensorFlow.js: on a GPU, else native on the CPU, else in JavaScript. */
import * as util from 'node:util'
import { UnsupportedError } from '../../src/errors.ts'
import type { Engine } from '../../src/graph/engine.ts'
import { createEngine } from './engine.ts'
import type { Tfjs } from './runtime.ts'

export interface OpenOptions {
  /** `auto` (default): the first that is installed of tfjs-node-gpu, tfjs-node, tfjs-core with backend-cpu. `cuda`: the first only. `cpu`: the others. */
  readonly device?: string
  /** Imports a package by name; default: Node's own. */
  readonly load?: (name: string) => Promise<unknown>
}

interface Candidate {
  readonly name: string
  readonly packages: readonly string[]
  readonly devices: readonly string[]
}

const CANDIDATES: readonly Candidate[] = [
  { name: 'tfjs-node-gpu', packages: ['@tensorflow/tfjs-node-gpu'], devices: ['auto', 'cuda'] },
  { name: 'tfjs-node', packages: ['@tensorflow/tfjs-node'], devices: ['auto', 'cpu'] },
  { name: 'tfjs-cpu', packages: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu'], devices: ['auto', 'cpu'] },
]
/** The last tfjs-node that calls `util.isNullOrUndefined`, which Node 23 took away. */
const CALLS_OLD_UTIL = [4, 22] as const
const GPU_NEEDS =
  'It needs Linux or Windows x64, CUDA 11.2 and cuDNN 8.1 in the library path, and a GPU older than Hopper (its TensorFlow 2.9 has no ' +
  'binaries for newer ones). On other GPUs train with onnxruntime: --engine onnxruntime --device webgpu.'

/** What a package exports beyond ops. */
type Package = Tfjs & {
  readonly version: Readonly<Record<string, string>>
  readonly setBackend: (name: string) => Promise<boolean>
  readonly backend: () => { readonly isUsingGpuDevice?: boolean }
}

/**
 * Opens the best TensorFlow.js that is installed. One that is installed and does not work is an error, not passed over.
 * @throws {UnsupportedError} `tfjs-missing` | `tfjs-broken` | `tfjs-node-version` | `tfjs-no-gpu` | `tfjs-device`
 */
export async function openTfjs({ device = 'auto', load = (name) => import(name) }: OpenOptions = {}): Promise<Engine> {
  const candidates = CANDIDATES.filter(({ devices }) => devices.includes(device))
  if (candidates.length === 0) {
    throw new UnsupportedError('tfjs-device', `tfjs has no device "${device}". Known: auto, cpu, cuda.`, { facts: { got: device } })
  }
  for (const candidate of candidates) {
    const tf = await open(candidate, load)
    if (tf) return createEngine(tf, { name: candidate.name })
  }
  const names = candidates.map(({ packages }) => packages.join(' with ')).join(', or ')
  throw new UnsupportedError('tfjs-missing', `TensorFlow.js is not installed. Add ${names} to your project.`, { facts: { names } })
}

async function open({ name, packages }: Candidate, load: (name: string) => Promise<unknown>): Promise<Tfjs | undefined> {
  const loaded: unknown[] = []
  for (const wanted of packages) {
    try {
      loaded.push(await load(wanted))
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      // only the package itself, not what it lacks
      if (code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${wanted}'`)) return undefined
      const advice = 'Its TensorFlow is downloaded or compiled when it is installed: npm rebuild it, with Node 20 or 22.'
      throw new UnsupportedError('tfjs-broken', `${wanted} is installed but does not load: ${message}. ${advice}`, {
        cause,
        facts: { wanted },
      })
    }
  }
  const [module] = loaded as [Package | { readonly default: Package }]
  const tf = 'tidy' in module ? module : module.default
  if (name === 'tfjs-cpu') {
    await tf.setBackend('cpu')
    return tf
  }
  checkVersion(packages[0] as string, tf.version[name] ?? tf.version['tfjs-node'] ?? '')
  if (name === 'tfjs-node-gpu' && tf.backend().isUsingGpuDevice !== true) {
    throw new UnsupportedError('tfjs-no-gpu', `${packages[0]} is installed, but its TensorFlow finds no GPU. ${GPU_NEEDS} Or --device cpu.`)
  }
  return tf
}

/** @throws {UnsupportedError} `tfjs-node-version` */
export function checkVersion(name: string, version: string, utilities: object = util, node: string = process.versions.node): void {
  if ('isNullOrUndefined' in utilities || !atMost(version, CALLS_OLD_UTIL)) return
  const message = `${name} ${version} fails on Node ${node}: use Node 20 or 22, or --engine onnxruntime.`
  throw new UnsupportedError('tfjs-node-version', message, { facts: { version, node } })
}

function atMost(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number)
  return ownMajor < major || (ownMajor === major && ownMinor <= minor)
}
