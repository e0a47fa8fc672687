/** `attachPrompts` in Node: prompts by folder, bundle, Hub id or value; the encoder file found as `loadPrompted` finds it. */
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ConfigError } from '../../src/errors.ts'
import { onnxFile } from '../../src/onnx/model-files.ts'
import type { PromptBank } from '../../src/prompt/bank.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import type { ModelSource } from '../onnxruntime/source.ts'
import type { Attachment, AttachOptions } from '../transformers/attach.ts'
import { variantsOf } from '../transformers/load.ts'
import { attachOpened, dtypesOf, isAttached, isBank, type AttachTarget, type EncoderOptions } from './attach-prompts.ts'
import { commonBase } from './load-prompted.ts'
import { exists } from '../disk/read.ts'
import { checkOnnxBase } from './onnx-base.ts'
import { listOnnx } from './onnx-files.ts'
import type { LayerConfig } from './onnx-fingerprint.ts'
import { hubOf, openSources, type PromptSources, type SourceOptions } from './open-sources.ts'
import { findOrExportOnnx } from './own-export.ts'

export interface AttachPromptsOptions extends AttachOptions, Partial<EncoderOptions>, SourceOptions {
  /** Folder or Hub id of the base model's ONNX files, where no `encoder` is given; default: what the prompts name. */
  readonly base?: string
}

/**
 * Attaches prompts to a stock transformers.js T5: afterwards `model.generate({ …, soft_prompt })` and `pipe(text, { soft_prompt })` take
 * a prompt's name, or a name or null for each row. The stock encoder session is released. A pipeline's tokenizer gives the ids of training
 * until `detach`; that of a bare model is the app's own.
 * @example
 * const pipe = await pipeline('text2text-generation', 'Xenova/t5-small')
 * const { bank, detach } = await attachPrompts(pipe, { sst2: './my-prompt' })
 * await pipe(['a film of charm', 'wie geht es'], { soft_prompt: ['sst2', null] })
 * @throws {UnsupportedError} `model-attached` | `model-kind`, or what the encoder file is
 * @throws {MismatchError} `prompt-width` | `encoder-mismatch` | `prompt-base` for a prompt of another base model
 */
export async function attachPrompts(
  target: AttachTarget,
  prompts: PromptSources | PromptBank,
  options: AttachPromptsOptions = {},
): Promise<Attachment> {
  const attached = isAttached(target)
  const opened = isBank(prompts) ? valuesOf(prompts) : await openSources(prompts, options)
  const bank = isBank(prompts) ? prompts : opened
  if (attached) return attachOpened(target, bank, options)
  const { encoder, root, notes } = await findEncoder(target, opened, options)
  const config = root === undefined ? undefined : await readFile(join(root, 'config.json'), 'utf8').catch(() => undefined)
  const drift =
    root === undefined || config === undefined || typeof encoder !== 'string'
      ? []
      : await checkOnnxBase(
          root,
          encoder,
          join(dirname(encoder), onnxFile('decoder_model_merged', dtypesOf(target).decoder)),
          JSON.parse(config) as LayerConfig,
          opened,
        )
  const made = await attachOpened(target, bank, { ...options, encoder })
  return { ...made, warnings: [...notes, ...made.warnings, ...drift] }
}

interface FoundEncoder {
  readonly encoder: ModelSource
  /** The model's folder, with its config.json and tokenizer, where there is one. */
  readonly root?: string
  readonly notes: readonly string[]
}

/** The encoder file that is given, or else the one of the prompts' base, in the dtype that the target was loaded as. */
async function findEncoder(
  target: AttachTarget,
  opened: Readonly<Record<string, SoftPrompt>>,
  options: AttachPromptsOptions,
): Promise<FoundEncoder> {
  const { encoder } = options
  if (typeof encoder === 'string') return { encoder, root: await rootOf(encoder), notes: [] }
  if (encoder !== undefined) return { encoder, notes: [] }
  const dtypes = dtypesOf(target)
  if (options.base === undefined && Object.keys(opened).length === 0) {
    throw new ConfigError(
      'encoder-missing',
      'With no prompt to name it, say where the encoder file is: { encoder: "…/onnx/encoder_model.onnx" }, or { base }.',
    )
  }
  const named = options.base === undefined ? commonBase(Object.values(opened)) : { id: options.base }
  const variants = variantsOf({ encoder_model: dtypes.encoder, decoder_model_merged: dtypes.decoder })
  const { dir, notes } = await findOrExportOnnx(named, variants, hubOf(options))
  const folder = (await listOnnx(dir))?.subfolder ?? 'onnx'
  return { encoder: join(dir, folder, onnxFile('encoder_model', dtypes.encoder)), root: dir, notes }
}

/** The model's folder of an encoder file: the one that it lies in, or one up. */
async function rootOf(encoder: string): Promise<string> {
  const folder = dirname(resolve(encoder))
  return (await exists(join(folder, 'config.json'))) ? folder : dirname(folder)
}

const valuesOf = (bank: PromptBank): Record<string, SoftPrompt> => Object.fromEntries(bank.names.map((name) => [name, bank.get(name)]))
