/** What an installation has and lacks: runtimes and how many copies of them, devices that start, the cache, the Hub. Nothing is changed. */
import { constants } from 'node:fs'
import { access, readFile, realpath, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SoftPromptError } from '../../src/errors.ts'
import { readHubEnvironment, type HubEnvironment } from '../hub/environment.ts'
import { askJson } from '../hub/fetch.ts'
import { deviceError } from './open-engine.ts'
import type { Check } from './verify.ts'

export interface DoctorOptions {
  /** Folder of the app: packages are looked for as its code finds them; default: the working directory. */
  readonly app?: string
  /** Milliseconds to wait for the Hub. */
  readonly timeoutMs?: number
}

/** Packages that an app brings, by the versions that this library was tried with: at least the first, below the next major one. */
const PACKAGES: ReadonlyMap<string, readonly [major: number, minor: number]> = new Map([
  ['onnxruntime-node', [1, 30]],
  ['onnxruntime-web', [1, 30]],
  ['@huggingface/transformers', [4, 3]],
  ['@tensorflow/tfjs-core', [4, 22]],
  ['@tensorflow/tfjs-node', [4, 22]],
  ['@tensorflow/tfjs-node-gpu', [4, 22]],
])
const DEVICES: readonly string[] = [
  'cpu',
  'webgpu',
  ...(process.platform === 'darwin' ? ['coreml'] : process.platform === 'win32' ? ['dml'] : ['cuda']),
]

interface Copy {
  readonly dir: string
  readonly version: string
}

/** The package that code in a folder gets by this name. */
async function findCopy(name: string, from: string): Promise<Copy | undefined> {
  let dir: string
  try {
    dir = dirname(await realpath(createRequire(join(from, 'x.js')).resolve(name)))
  } catch {
    return undefined
  }
  for (; dir !== parse(dir).root; dir = dirname(dir)) {
    const text = await readFile(join(dir, 'package.json'), 'utf8').catch(() => '{}')
    const manifest = JSON.parse(text) as { readonly name?: unknown; readonly version?: unknown }
    if (manifest.name === name) return { dir, version: String(manifest.version) }
  }
  return undefined
}

/** Prereleases count as what they lead to. */
function fits(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor, ownMinor = 0] = version.split('.').map(Number)
  return ownMajor === major && ownMinor >= minor
}

/** Every copy that the app, this library and transformers.js get. */
async function findCopies(name: string, places: readonly string[]): Promise<Copy[]> {
  const found = await Promise.all(places.map((place) => findCopy(name, place)))
  return [...new Map(found.flatMap((copy) => (copy ? [[copy.dir, copy] as const] : []))).values()]
}

async function checkPackages(app: string): Promise<Check[]> {
  const own = dirname(fileURLToPath(import.meta.url))
  const transformers = await findCopies('@huggingface/transformers', [app, own])
  const places = [app, own, ...transformers.map(({ dir }) => dir)]
  const checks = [...PACKAGES].map(async ([name, wanted]): Promise<Check> => {
    const copies = await findCopies(name, places)
    const detail = copies.map(({ version, dir }) => `${version} in ${dir}`).join(' and ')
    if (copies.length === 0) return { name, standing: 'skipped', detail: 'not installed' }
    const strange = copies.find(({ version }) => !fits(version, wanted))
    if (strange) {
      const range = `${wanted.join('.')} or later, below ${wanted[0] + 1}`
      return { name, standing: 'warning', detail: `${detail}: tried with ${range}. Others may work.`, code: 'doctor-version' }
    }
    if (copies.length === 1) return { name, standing: 'ok', detail }
    const advice = 'what one makes the other may not take. Name one version in "overrides" of package.json, then npm install.'
    return { name, standing: 'warning', detail: `${copies.length} copies, ${detail}: ${advice}`, code: 'doctor-copies' }
  })
  return Promise.all(checks)
}

async function checkDevice(device: string): Promise<Check> {
  const error = await deviceError(device)
  const name = `device ${device}`
  if (error === undefined) return { name, standing: 'ok', detail: 'starts' }
  return { name, standing: device === 'cpu' ? 'failed' : 'skipped', detail: error.message, code: error.code }
}

/** Whether files can be written below a folder that need not be there yet. */
async function checkCache({ cacheDir }: HubEnvironment): Promise<Check> {
  let dir = cacheDir
  for (; dir !== dirname(dir); dir = dirname(dir)) if (await stat(dir).catch(() => undefined)) break
  const name = 'cache'
  const why = await hindrance(dir)
  if (why === undefined) return { name, standing: 'ok', detail: dir === cacheDir ? cacheDir : `${cacheDir} (made when it is needed)` }
  const detail = `${cacheDir} cannot be written: ${why}. Set HF_HOME or HF_HUB_CACHE to another folder.`
  return { name, standing: 'failed', detail, code: 'doctor-cache' }
}

/** Why files cannot be written into a folder; undefined where they can. */
async function hindrance(dir: string): Promise<string | undefined> {
  try {
    if (!(await stat(dir)).isDirectory()) return `${dir} is no folder`
    await access(dir, constants.R_OK | constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

async function checkHub(environment: HubEnvironment, timeoutMs: number): Promise<Check[]> {
  const { hubUrl, token, offline, fetch: proxied } = environment
  const signed: Check = {
    name: 'token',
    ...(token === undefined ? { standing: 'skipped', detail: 'none: public repositories can be read' } : { standing: 'ok', detail: 'set' }),
  }
  const name = 'hub'
  const way = proxied === undefined ? hubUrl : `${hubUrl}, by a proxy`
  if (offline) return [signed, { name, standing: 'skipped', detail: `${way}: offline (HF_HUB_OFFLINE)` }]
  try {
    // With a token, one request tells of both.
    await askJson({ ...environment, attempts: 1, timeoutMs }, `${hubUrl}/api/${token === undefined ? 'models?limit=1' : 'whoami-v2'}`)
    return [signed, { name, standing: 'ok', detail: `${way} answers` }]
  } catch (error) {
    if (!(error instanceof SoftPromptError)) throw error
    return [signed, { name, standing: 'failed', detail: error.message, code: error.code }]
  }
}

/**
 * Looks at runtimes, devices, cache and Hub. A token is told of, never shown.
 * @throws {ConfigError} `hub-endpoint` | `hub-proxy` where the environment cannot be read
 */
export async function diagnose(options: DoctorOptions = {}): Promise<Check[]> {
  const { app = process.cwd(), timeoutMs = 10_000 } = options
  const environment = readHubEnvironment()
  const devices: Check[] = []
  // One after the other: drivers do not like to be asked at once.
  for (const device of DEVICES) devices.push(await checkDevice(device))
  return [
    { name: 'node', standing: 'ok', detail: `${process.version} on ${process.platform} ${process.arch}` },
    ...(await checkPackages(app)),
    ...devices,
    await checkCache(environment),
    ...(await checkHub(environment, timeoutMs)),
  ]
}
