/** run and eval on ONNX bases, in every layout that exporters write: real sessions, the answers of PyTorch and of the base's own weights. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answer, type Answer, type AnswerOptions } from '../../adapters/compose/answer.ts'
import { checkEncoders } from '../../adapters/compose/check-encoders.ts'
import { evaluatePrompts } from '../../adapters/compose/evaluate.ts'
import { exportOnnx } from '../../adapters/compose/export.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { openModelFacts } from '../../adapters/compose/open-model-facts.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import type { PromptedPipeline } from '../../adapters/transformers/prompted-pipeline.ts'
import { folderOf, PROMPTS, promptOf, reference } from '../attach/fixtures.ts'
import { writePlainDecoder } from '../onnx/plain-decoder.ts'

const path = (relative: string): string => fileURLToPath(new URL(`../../${relative}`, import.meta.url))
const small = path('models/t5-tiny-en')
const sentiment = path('hub-cards/examples/sentiment')
const model = 'tiny-t5-v11'
const ref = reference(model)
const adapters = PROMPTS.map((name) => path(`test/fixtures/onnx/adapters/${model}-${name}`))
const onnx = join(folderOf(model), 'onnx')
const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-onnx-'))
/** Folders of one base, by what an exporter left there. */
const at = (name: string): string => join(dir, name)

/** A model's folder with these ONNX files; `subfolder` is where they lie. */
function folder(name: string, files: readonly string[], subfolder: 'onnx' | '' = 'onnx'): void {
  mkdirSync(join(at(name), subfolder), { recursive: true })
  for (const file of readdirSync(folderOf(model)).filter((each) => each.endsWith('.json')))
    cpSync(join(folderOf(model), file), join(at(name), file))
  for (const file of files) cpSync(join(onnx, file), join(at(name), subfolder, file))
}

beforeAll(async () => {
  folder('hub', ['encoder_model.onnx', 'decoder_model_merged.onnx'])
  folder('root', ['encoder_model.onnx', 'decoder_model_merged.onnx'], '')
  folder('plain', ['encoder_model.onnx'])
  writePlainDecoder(join(onnx, 'decoder_model_merged.onnx'), join(at('plain'), 'onnx/decoder_model.onnx'))
  folder('q8', ['encoder_model_quantized.onnx', 'decoder_model_merged_quantized.onnx'])
  folder('mixed', ['encoder_model_fp16.onnx', 'decoder_model_merged.onnx'])
  folder('no-decoder', ['encoder_model.onnx'])
  folder('none', [])
  folder('weights', [])
  cpSync(join(folderOf(model), 'hf/model.safetensors'), join(at('weights'), 'model.safetensors'))
  await exportOnnx(small, at('exported'))
})
afterAll(() => rmSync(dir, { recursive: true }))

const steps = (ref.base_greedy[0]?.length ?? 0) - 1
const ask = async (base: string, more: Partial<AnswerOptions> = {}): Promise<Answer[]> =>
  answer({ prompts: adapters, texts: ref.texts, model: base, threads: 1, maxNewTokens: steps, ...more })
const byPyTorch = async (): Promise<string[]> => {
  const { decode } = await openTokenizer(folderOf(model))
  return ref.texts.flatMap((_, row) => PROMPTS.map((name) => decode(ref.adapters[name].greedy[row]?.slice(1) ?? [])))
}

describe('an ONNX base answers', () => {
  it.each(['hub', 'root', 'plain'])('as PyTorch does, prompts of three lengths in one batch: %s', async (name) => {
    const notes: string[] = []
    const answers = await ask(at(name), { onNote: (note) => notes.push(note) })
    expect(answers.map((each) => each.generated)).toEqual(await byPyTorch())
    const decoder = name === 'plain' ? 'decoder_model.onnx' : 'decoder_model_merged.onnx'
    expect(notes).toEqual([`${at(name)}: answered by ${name === 'root' ? '' : 'onnx/'}encoder_model.onnx and ${decoder} (fp32)`])
  })

  it('with beams as its own weights do', async () => {
    const options = { beams: 3, texts: ref.texts.slice(0, 2) }
    const weights = await ask(at('weights'), options)
    expect((await ask(at('hub'), options)).map((each) => each.generated)).toEqual(weights.map((each) => each.generated))
  })

  it('in the dtype that is there, as the pipeline of that dtype does', async () => {
    const notes: string[] = []
    const text = ref.texts[0] as string
    const [own] = await ask(at('q8'), { prompts: adapters.slice(0, 1), texts: [text], onNote: (note) => notes.push(note) })
    const pipe: PromptedPipeline = await loadPrompted(promptOf(model, 'a'), { base: at('q8'), dtype: 'q8' })
    expect(own?.generated).toBe((await pipe(text, { max_new_tokens: steps }))[0]?.generated_text)
    await pipe.dispose()
    expect(notes).toEqual([expect.stringContaining('encoder_model_quantized.onnx'), expect.stringContaining('dynamically quantised')])
  })

  it('with an encoder in halves, and the dtype asked for where there are several', async () => {
    const answers = await ask(at('mixed'), { prompts: adapters.slice(0, 1), texts: ref.texts.slice(0, 1) })
    expect(answers[0]?.generated?.split(' ').length).toBeGreaterThan(1)
    const notes: string[] = []
    await ask(folderOf(model), { prompts: adapters.slice(0, 1), texts: ['new'], dtype: 'q8', onNote: (note) => notes.push(note) })
    expect(notes[0]).toContain('onnx/encoder_model_quantized.onnx and decoder_model_merged_quantized.onnx (q8)')
  })

  it('labels as its own weights do, in eval too', async () => {
    const texts = ['a warm and funny film', 'dull from the first minute']
    const scores = async (base: string): Promise<number[]> =>
      (await answer({ prompts: [sentiment], texts, model: base, threads: 1 })).map(({ labels = [] }) => labels[0]?.score ?? 0)
    const [own, weights] = [await scores(at('exported')), await scores(small)]
    for (const [row, score] of own.entries()) expect(score).toBeCloseTo(weights[row] as number, 4)
    const data = [path('examples/data/sentiment/dev.jsonl')]
    const figures = async (base: string): Promise<unknown> =>
      (await evaluatePrompts({ prompts: [sentiment], model: base, data, threads: 1, bare: true }).next()).value
    expect(await figures(at('exported'))).toMatchObject({ metrics: ((await figures(small)) as { metrics: object }).metrics })
  })
})

describe('an ONNX base that cannot answer says why', () => {
  it.each([
    ['hub', { dtype: 'q8' }, 'base-dtype', /There is fp32 \(encoder_model\.onnx, decoder_model_merged\.onnx\): give --dtype fp32/],
    ['hub', { dtype: 'q9' }, 'base-dtype', /There is no dtype "q9"\. Known: fp32, fp16, q8/],
    [
      'no-decoder',
      {},
      'base-no-decoder',
      /no decoder_model_merged\.onnx or decoder_model\.onnx; there is fp32 \(encoder_model\.onnx\)\. Export again/,
    ],
    ['none', {}, 'base-missing', /neither PyTorch weights .* nor ONNX files/],
    [
      'none',
      { dtype: 'q8' },
      'base-no-onnx',
      /has no ONNX files, in onnx\/ or beside config\.json\. Make them, in fp32, with: soft-prompts export .*none DIR.*--model DIR/,
    ],
    ['hub', { engine: 'tfjs' }, 'engine-onnx', /ONNX files, which onnxruntime runs, not tfjs/],
  ] as const)('%s with %o: %s', async (name, options, code, message) => {
    const thrown = await ask(at(name), options).catch((error: unknown) => error)
    expect(thrown).toMatchObject({ code, message: expect.stringMatching(message) })
    expect((thrown as Error).message).not.toMatch(/train/i)
  })

  it('a file that is no model, or no decoder', async () => {
    folder('spoilt', ['encoder_model.onnx'])
    cpSync(join(onnx, 'encoder_model.onnx'), join(at('spoilt'), 'onnx/decoder_model.onnx'))
    await expect(ask(at('spoilt'))).rejects.toMatchObject({ code: 'decoder-input', message: expect.stringContaining('input_ids') })
    writeFileSync(join(at('spoilt'), 'onnx/decoder_model.onnx'), 'version https://git-lfs.github.com/spec/v1')
    await expect(ask(at('spoilt'))).rejects.toMatchObject({
      message: expect.stringContaining(join(at('spoilt'), 'onnx/decoder_model.onnx')),
    })
  })

  it('a prompt of another base is refused', async () => {
    await expect(ask(at('hub'), { prompts: [sentiment] })).rejects.toMatchObject({ code: 'prompt-base' })
    await expect(ask(at('exported'))).rejects.toMatchObject({ code: 'prompt-base' })
  })
})

const load = (name: string, options: object = {}): Promise<PromptedPipeline> =>
  loadPrompted(promptOf(model, 'a'), { base: at(name), ...options })

describe('loadPrompted', () => {
  it('reads files beside config.json', async () => {
    const pipe = await load('root')
    expect((await pipe(ref.texts[0] as string, { max_new_tokens: steps }))[0]?.generated_text).toBe((await byPyTorch())[0])
    await pipe.dispose()
  })

  it.each([
    ['q8', {}, 'base-dtype', /no encoder_model\.onnx and no decoder_model_merged\.onnx; there is q8 .*Give \{ dtype: 'q8' \}/],
    ['hub', { dtype: 'fp16' }, 'base-dtype', /no encoder_model_fp16\.onnx .*there is fp32 .*Give \{ dtype: 'fp32' \}/],
    ['mixed', {}, 'base-dtype', /Give \{ dtype: \{ encoder_model: 'fp16', decoder_model_merged: 'fp32' \} \}/],
    [
      'plain',
      {},
      'base-no-merged',
      /no decoder_model_merged\.onnx, .*there is fp32 \(encoder_model\.onnx, decoder_model\.onnx\)\. Export again/,
    ],
    ['hub', { model_file_name: 'model' }, 'option-model-file', /model_file_name names one file, and a T5 has two/],
  ] as const)('%s with %o: %s', async (name, options, code, message) => {
    await expect(load(name, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('loads with the dtype that the message names', async () => {
    for (const [name, dtype] of [
      ['q8', 'q8'],
      ['mixed', { encoder_model: 'fp16', decoder_model_merged: 'fp32' }],
    ] as const) {
      const pipe = await load(name, { dtype })
      expect((await pipe('new movie', { max_new_tokens: 4 }))[0]?.generated_text).toEqual(expect.any(String))
      await pipe.dispose()
    }
  })
})

it('a prompt is checked on encoders beside config.json too', async () => {
  mkdirSync(at('flat'))
  for (const from of [at('exported'), join(at('exported'), 'onnx')]) {
    for (const file of readdirSync(from).filter((name) => name !== 'onnx')) cpSync(join(from, file), join(at('flat'), file))
  }
  const checks = await checkEncoders('sentiment', await openPrompt(sentiment), at('flat'))
  expect(checks).toMatchObject([{ file: 'encoder_model.onnx', answer: 'same', drift: 0 }])
})

it('inspect and verify read whatever encoder is there', async () => {
  for (const name of ['hub', 'root', 'q8', 'mixed', 'plain']) {
    const { facts } = await openModelFacts(at(name))
    expect([basename(at(name)), facts.table.vocabSize, facts.encoderLayers]).toEqual([name, 512, 3])
  }
})
