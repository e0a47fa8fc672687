/** The base model that answers: its PyTorch weights by the emitted graphs, or its ONNX files. */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import type { Seq2Seq } from '../../src/decode/seq2seq.ts'
import { ConfigError, HubError, MismatchError, SoftPromptError } from '../../src/errors.ts'
import { DTYPE_SUFFIX } from '../../src/onnx/model-files.ts'
import type { BaseModel } from '../../src/prompt/manifest.ts'
import { widthOf, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { parseStrictJson } from '../../src/tensor/strict-json.ts'
import { isFolder } from '../disk/read.ts'
import { openTokenizer } from '../tokenizer/tokenizer.ts'
import { checkBase } from './base-model.ts'
import { checkOnnxBase } from './onnx-base.ts'
import { chooseOnnx, listOnnx, pathsOf, type OnnxFiles } from './onnx-files.ts'
import type { LayerConfig } from './onnx-fingerprint.ts'
import { openBase, type BaseOptions } from './open-base.ts'
import { chosenDevice, openEngine, openOnnxRuntime, type OpenEngineOptions } from './open-engine.ts'

export interface AnsweringOptions extends OpenEngineOptions {
  /** Answer by the base's ONNX files of this dtype: `fp32`, `q8`, `fp16`, … Default: by its weights, or where it has none by the best ONNX files there. */
  readonly dtype?: string
  /** Told what comes over the network, where the base is not in the cache yet. */
  readonly onDownload?: NonNullable<BaseOptions['onProgress']>
}

export interface AnsweringBase {
  readonly tokenizer: Tokenizer
  readonly startId: number
  readonly model: Seq2Seq
  /** What to know before trusting answers: which files answer, a base that is rounded or quantised. */
  readonly notes: readonly string[]
}

/** A prompt with what it is called in messages. */
export interface NamedPrompt {
  readonly name: string
  readonly prompt: SoftPrompt
}

/**
 * Opens the base that prompts share, and checks that they belong to it.
 * @throws {ConfigError} `base-missing` | `base-no-onnx` | `base-dtype` | `base-no-decoder` | `engine-onnx`
 * @throws {MismatchError} `prompt-base` | `prompt-width` for a prompt of another base
 */
export async function openAnsweringBase(
  base: BaseModel,
  prompts: readonly NamedPrompt[],
  options: AnsweringOptions,
): Promise<AnsweringBase> {
  if (options.dtype !== undefined) return fromOnnx(await onnxOf(base, options), prompts, options)
  try {
    return await fromWeights(base.id, prompts, options)
  } catch (error) {
    if (!(error instanceof SoftPromptError) || !NO_WEIGHTS.has(error.code)) throw error
    const [dtype] = Array.isArray(error.facts['dtypes']) ? (error.facts['dtypes'] as readonly string[]) : []
    const files = await onnxOf(base, { ...options, ...(dtype === undefined ? {} : { dtype }) }).catch(() => undefined)
    if (files) return fromOnnx(files, prompts, options)
    if (error instanceof HubError) throw error
    throw new ConfigError(
      'base-missing',
      `${resolve(base.id)} has neither PyTorch weights (model.safetensors or pytorch_model.bin) nor ONNX files (encoder_model.onnx and decoder_model_merged.onnx, in onnx/ or beside config.json).`,
      { facts: { base: base.id }, cause: error },
    )
  }
}

/** Codes of a base that has no weights to read, or none within reach. */
const NO_WEIGHTS: ReadonlySet<string> = new Set(['checkpoint-missing', 'hub-not-a-model', 'hub-offline'])

async function fromWeights(id: string, prompts: readonly NamedPrompt[], options: AnsweringOptions): Promise<AnsweringBase> {
  const base = await openBase(id, options.onDownload ? { onProgress: options.onDownload } : {})
  for (const { name, prompt } of prompts) await checkBase(base, prompt, name)
  const model = await emittedSeq2Seq(await openEngine(options), base.config, base.weights)
  return { tokenizer: base.tokenizer, startId: base.config.startId, model, notes: [] }
}

/** The ONNX files of a base: of its folder, or found on the Hub. */
async function onnxOf(base: BaseModel, { dtype, onDownload }: AnsweringOptions): Promise<OnnxFiles> {
  const folder = await isFolder(base.id)
  const { findOnnxFolder, noOnnx } = await import('./onnx-folder.ts')
  const dir = folder
    ? resolve(base.id)
    : await findOnnxFolder(base, [DTYPE_SUFFIX[dtype ?? 'fp32'] ?? ''], onDownload ? { onProgress: onDownload } : {})
  const files = await listOnnx(dir)
  if (files) return files
  throw noOnnx(base, `"${dir}" has no ONNX files, in onnx/ or beside config.json`, folder)
}

async function fromOnnx(files: OnnxFiles, prompts: readonly NamedPrompt[], options: AnsweringOptions): Promise<AnsweringBase> {
  const { dir } = files
  const { device, threads, memory, engine = 'onnxruntime' } = options
  if (engine !== 'onnxruntime') {
    const given = typeof engine === 'string' ? engine : engine.name
    throw new ConfigError(
      'engine-onnx',
      `${dir} holds ONNX files, which onnxruntime runs, not ${given}. Leave the engine out, or name a base with PyTorch weights.`,
      {
        facts: { dir, engine: given },
      },
    )
  }
  const choice = chooseOnnx(files, options.dtype)
  const paths = pathsOf(files, choice)
  const path = join(dir, 'config.json')
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ConfigError('checkpoint-config', `${path} cannot be read: a folder of ONNX files holds the model's config.json.`, { cause })
  })
  const json = parseStrictJson(text, path)
  const config = parseT5Config(json)
  for (const { name, prompt } of prompts) {
    if (widthOf(prompt) === config.width) continue
    throw new MismatchError(
      'prompt-base',
      `${name} was made for hidden size ${widthOf(prompt)}, the model in ${dir} has ${config.width}. Use the base it names.`,
      {
        facts: { prompt: name, expected: widthOf(prompt), got: config.width },
      },
    )
  }
  const [tokenizer, drift, ort, { openStockSeq2Seq }] = await Promise.all([
    openTokenizer(dir),
    checkOnnxBase(
      dir,
      paths.encoder,
      paths.decoder,
      json as LayerConfig,
      Object.fromEntries(prompts.map(({ name, prompt }) => [name, prompt])),
    ),
    openOnnxRuntime(),
    import('../onnxruntime/seq2seq.ts'),
  ])
  const limits = { ...(threads === undefined ? {} : { threads }), ...(memory === undefined ? {} : { memory }) }
  const model = await openStockSeq2Seq(ort, paths, config, { ...limits, device: await chosenDevice(ort, device, limits) })
  const mixed = model.dynamicallyQuantized
    ? [
        'The encoder is dynamically quantised: rows of a batch share their scales, so that an answer may depend a little on the rows beside it.',
      ]
    : []
  return {
    tokenizer,
    startId: config.startId,
    model,
    notes: [
      `${dir}: answered by ${told(files, choice.encoder)} and ${choice.decoder} (${[...new Set(choice.dtypes)].join(' and ')})`,
      ...drift,
      ...mixed,
    ],
  }
}

const told = ({ subfolder }: OnnxFiles, file: string): string => (subfolder === '' ? file : `${subfolder}/${file}`)
