/** Turns an encoder into bytes that a session takes: patched, and with its weights left where they are. */
import { ConfigError, SoftPromptError, UnsupportedError } from '../../src/errors.ts'
import { formatModel } from '../../src/onnx/model.ts'
import { DATA_TYPE, type ModelProto } from '../../src/onnx/schema.ts'
import { readSkeleton, type ByteSource } from '../../src/onnx/skeleton.ts'
import { addSoftPromptInput } from '../../src/onnx/surgery.ts'
import { externalDataOf, withExternalData } from '../../src/onnx/tensors.ts'
import { builtins, type Builtins } from './builtin.ts'
import { commonFolder } from './common-folder.ts'

/** An encoder file: its path (Node, weights stay on disk), or its bytes. */
export type ModelSource = string | Uint8Array | Blob

export interface ExternalFile {
  readonly path: string
  readonly data: Uint8Array
}

export interface PatchedSource {
  /** The patched model: headers only. */
  readonly bytes: Uint8Array
  /** Where its weights are: a folder, or bytes by location. */
  readonly folder?: string
  readonly externalData?: readonly ExternalFile[]
  readonly vocabSize: number // V
  readonly width: number // D
  readonly dynamicallyQuantized: boolean
  /** The encoder takes int32 ids instead of int64. */
  readonly int32Ids: boolean
}

/** The location of a model's own bytes, where they are given as bytes. */
const OWN_BYTES = 'soft-prompt-original.onnx'

/**
 * Reads and patches an encoder. From a path only the protobuf headers are read.
 * @param externalData files that a model given as bytes keeps its weights in
 * @throws {UnsupportedError} what `addSoftPromptInput` and `readSkeleton` throw, and `onnx-external-escape` | `onnx-scattered`
 * @throws {ConfigError} `encoder-missing` | `onnx-external-missing`
 */
export async function openPatched(source: ModelSource, externalData: readonly ExternalFile[] = []): Promise<PatchedSource> {
  if (typeof source === 'string') {
    return fromPath(source).catch((error: unknown) => {
      throw named(source, error)
    })
  }
  const data = source instanceof Uint8Array ? source : new Uint8Array(await source.arrayBuffer())
  const read: ByteSource = { sizeBytes: data.length, read: (offset, length) => data.subarray(offset, offset + length) }
  const skeleton = await readSkeleton(read, OWN_BYTES)
  const given = [{ path: OWN_BYTES, data }, ...externalData]
  const absent = locationsOf(skeleton).find((location) => given.every((file) => file.path !== location))
  if (absent !== undefined) throw externalMissing(absent, `give its bytes: { externalData: [{ path: ${JSON.stringify(absent)}, data }] }`)
  return { ...patch(skeleton), externalData: given }
}

/** The files that a model keeps weights in. */
const locationsOf = ({ graph }: ModelProto): readonly string[] => [
  ...new Set(graph?.initializers.flatMap((tensor) => externalDataOf(tensor)?.location ?? [])),
]

const externalMissing = (location: string, help: string, cause?: unknown): ConfigError =>
  new ConfigError('onnx-external-missing', `The model keeps weights in "${location}", which is not there; ${help}.`, {
    facts: { location },
    cause,
  })

/** The same error with the file's name in front; a file that cannot be opened in our own words. */
function named(file: string, error: unknown, what: 'encoder' | 'decoder' = 'encoder'): unknown {
  if (error instanceof SoftPromptError) {
    const Same = error.constructor as typeof SoftPromptError
    return new Same(error.code, `${file}: ${error.message}`, { facts: { ...error.facts, file }, cause: error })
  }
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) return error
  const why = code === 'ENOENT' ? 'is not there' : code === 'EISDIR' ? 'is a folder' : `cannot be read (${code})`
  return new ConfigError(`${what}-missing`, `The ${what} ${file} ${why}; it is a file such as ${what}_model.onnx.`, {
    facts: { file },
    cause: error,
  })
}

function patch(skeleton: ModelProto): Omit<PatchedSource, 'folder' | 'externalData'> {
  const { model, vocabSize, width, dynamicallyQuantized } = addSoftPromptInput(skeleton)
  const ids = model.graph?.inputs.find(({ name }) => name === 'input_ids')
  const int32Ids = ids?.type?.tensorType?.elemType === DATA_TYPE.INT32
  return { bytes: formatModel(model), vocabSize, width, dynamicallyQuantized, int32Ids }
}

/** @throws {UnsupportedError} `path-no-node` */
function nodeModules(file: string): Builtins {
  const found = builtins()
  if (found) return found
  throw new UnsupportedError(
    'path-no-node',
    'A path can be opened in Node only; here fetch the file and give its bytes: await (await fetch(url)).blob().',
    { facts: { file } },
  )
}

/** Any model's file as it is, but for its weights, which stay in it. @throws {ConfigError} `decoder-missing` */
export async function openDecoderSkeleton(file: string): Promise<{ readonly bytes: Uint8Array; readonly folder: string }> {
  try {
    const { model, folder } = await skeletonOf(file)
    return { bytes: formatModel(model), folder }
  } catch (error) {
    throw named(file, error, 'decoder')
  }
}

async function fromPath(file: string): Promise<PatchedSource> {
  const { model, folder } = await skeletonOf(file)
  return { ...patch(model), folder }
}

/** A model whose weights are external data relative to `folder`. */
async function skeletonOf(file: string): Promise<{ readonly model: ModelProto; readonly folder: string }> {
  const { fs, path } = nodeModules(file)
  // The Hugging Face cache is made of links, and onnxruntime refuses data that leaves the model's folder.
  const real = await fs.realpath(file)
  const handle = await fs.open(real)
  let skeleton: ModelProto
  try {
    const { size } = await handle.stat()
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const { bytesRead, buffer } = await handle.read(new Uint8Array(length), 0, length, offset)
      return buffer.subarray(0, bytesRead)
    }
    skeleton = await readSkeleton({ sizeBytes: size, read }, OWN_BYTES)
  } finally {
    await handle.close()
  }
  const files = new Map([[OWN_BYTES, real]])
  for (const location of locationsOf(skeleton)) {
    if (files.has(location)) continue
    // Beside the link, not beside the blob it points to: the cache keeps names only there.
    const given = path.resolve(path.dirname(file), location)
    if (path.isAbsolute(location) || path.relative(path.dirname(path.resolve(file)), given).startsWith('..')) {
      throw new UnsupportedError(
        'onnx-external-escape',
        `"${file}" keeps weights in "${location}", outside its own folder; export it again.`,
      )
    }
    const found = await fs.realpath(given).catch((cause: unknown) => {
      throw externalMissing(location, 'fetch it too, into the folder of the model', cause)
    })
    files.set(location, found)
  }
  const folder = commonFolder([...files.values()].map(path.dirname), path)
  const place = (target: string): string => path.relative(folder, target).split(path.sep).join('/')
  return { model: relocate(skeleton, (location) => place(files.get(location) as string)), folder }
}

function relocate(model: ModelProto, place: (location: string) => string): ModelProto {
  if (model.graph === undefined) return model
  const initializers = model.graph.initializers.map((tensor) => {
    const at = externalDataOf(tensor)
    return at === undefined ? tensor : withExternalData(tensor, { ...at, location: place(at.location) })
  })
  return { ...model, graph: { ...model.graph, initializers } }
}
