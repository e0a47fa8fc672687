/** A prompt on the encoder files of its base, float and quantised: whether each is that base, and how far it drifts. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { DEFAULT_TEMPLATE, parseTemplate } from '../../src/data/template.ts'
import { ConfigError, MismatchError } from '../../src/errors.ts'
import { compareFingerprint } from '../../src/prompt/fingerprint.ts'
import type { EncoderCheck } from '../../src/prompt/manifest.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { fromF16 } from '../../src/tensor/half.ts'
import { openPromptedSession } from '../onnxruntime/attach.ts'
import { openTokenizer } from '../tokenizer/tokenizer.ts'
import { sha256 } from './base-model.ts'
import { listOnnx } from './onnx-files.ts'
import { findOnnxFolder } from './onnx-folder.ts'
import { openOnnxRuntime } from './open-engine.ts'
import { openModelFacts } from './open-model-facts.ts'

/** What the encoder reads behind the prompt, where its output is compared: one row a run, as the scales of a quantised batch are common to its rows. */
const TEXTS = [
  'A film of charm.',
  'Nothing on this menu was worth the money, and the waiter knew it.',
  'Where is the nearest station, and when does the last train leave for the coast?',
  'The committee published its report on Monday; two of its five members had refused to sign it.',
]

const FLOAT_FILE = 'encoder_model.onnx'

/**
 * Checks a prompt on every `onnx/encoder_model*.onnx` of a base.
 * @param model folder, or Hub id
 * @throws {ConfigError} `fingerprint-missing` | `base-no-onnx`
 * @throws {MismatchError} `prompt-base` for a file of another model, `encoder-not-finite` for one that overflows
 */
export async function checkEncoders(name: string, prompt: SoftPrompt, model: string): Promise<EncoderCheck[]> {
  const { id, fingerprint } = prompt.manifest.base
  if (fingerprint === undefined) {
    throw new ConfigError('fingerprint-missing', `${name} carries no fingerprint of its base, so no file can be held against it.`)
  }
  const dir = await findOnnxFolder({ id: model }, [''])
  const folder = join(dir, (await listOnnx(dir))?.subfolder ?? 'onnx')
  const files = (await readdir(folder)).filter((file) => /^encoder_model\w*\.onnx$/.test(file)).toSorted()
  if (files.length === 0) throw new ConfigError('base-no-onnx', `${folder} has no encoder_model*.onnx.`)
  const outputs = new Map<string, Float32Array>()
  const checks: EncoderCheck[] = []
  for (const file of [...files.filter((each) => each === FLOAT_FILE), ...files.filter((each) => each !== FLOAT_FILE)]) {
    const path = join(folder, file)
    const { answer, drift, reasons } = await compareFingerprint(fingerprint, (await openModelFacts(path)).facts, sha256)
    if (answer === 'other') {
      throw new MismatchError('prompt-base', `${name} was made for ${id}, not for the model in ${path}: ${reasons.join('; ')}.`, {
        facts: { prompt: name, expected: id, got: path, reasons },
      })
    }
    const output = await outputOf(path, dir, prompt)
    if (!output.every((value) => Number.isFinite(value))) {
      throw new MismatchError(
        'encoder-not-finite',
        `${path} gives values that are not finite behind ${name}: T5 overflows in F16 at times. Remove the file, or export it in F32 or BF16.`,
      )
    }
    outputs.set(file, output)
    const float = outputs.get(FLOAT_FILE)
    const compared = float === undefined || file === FLOAT_FILE ? {} : { outputDrift: relativeRms(output, float), texts: TEXTS.length }
    checks.push({ file, sha256: await digestOf(path), answer, drift, ...compared })
  }
  return checks
}

/** The encoder's output behind the prompt, text after text. */
async function outputOf(encoder: string, dir: string, prompt: SoftPrompt): Promise<Float32Array> {
  const [runtime, tokenizer] = await Promise.all([openOnnxRuntime(), openTokenizer(dir)])
  const { Tensor } = runtime
  const session = await openPromptedSession(runtime, encoder)
  try {
    session.bank.add('prompt', prompt)
    const parts: Float32Array[] = []
    const { fields, render } = parseTemplate(prompt.manifest.template ?? DEFAULT_TEMPLATE)
    for (const text of TEXTS) {
      const asked = render({ fields: Object.fromEntries(fields.map((field) => [field, text])), where: 'the check' })
      const ids = BigInt64Array.from(tokenizer.encode(asked), BigInt)
      const dims = [1, ids.length]
      const [ids64, mask] = [new Tensor('int64', ids, dims), new Tensor('int64', new BigInt64Array(ids.length).fill(1n), dims)]
      const { last_hidden_state: hidden } = await session.run(session.join({ input_ids: ids64, attention_mask: mask }, 'prompt'))
      parts.push(hidden?.type === 'float16' ? Float32Array.from(hidden.data as Uint16Array, fromF16) : (hidden?.data as Float32Array))
    }
    return Float32Array.from(parts.flatMap((part) => [...part]))
  } finally {
    await session.release()
  }
}

function relativeRms(values: Float32Array, expected: Float32Array): number {
  let [error, total] = [0, 0]
  for (const [index, value] of expected.entries()) {
    error += ((values[index] ?? Number.NaN) - value) ** 2
    total += value ** 2
  }
  return Math.sqrt(error / total)
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
