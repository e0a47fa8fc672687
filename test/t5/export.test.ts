/** `exportOnnx`: stock transformers.js loads the folder and generates PyTorch's tokens. */
import { AutoTokenizer, env, pipeline, Tensor as HubTensor } from '@huggingface/transformers'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { exportOnnx } from '../../adapters/compose/export.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { FIXTURES } from './checkpoint.ts'

const folder = mkdtempSync(join(tmpdir(), 'export-'))
afterAll(() => rmSync(folder, { recursive: true }))

type Rows = number[][]
const references = JSON.parse(readFileSync(`${FIXTURES}ref.json`, 'utf8')) as Record<
  string,
  { texts: string[]; input_ids: Rows; attention_mask: Rows; base_greedy: Rows }
>

const long = (rows: Rows): HubTensor => new HubTensor('int64', BigInt64Array.from(rows.flat().map(BigInt)), [rows.length, rows[0]!.length])

test.each([
  ['tiny-t5-v10', 'inside', {}],
  ['tiny-t5-v11', 'inside', {}],
  // what a protobuf cannot hold
  ['tiny-t5-v11', 'beside', { mostInlineBytes: 1000 }],
])('%s loads in stock transformers.js, its weights %s', async (model, where, options) => {
  const source = join(folder, model)
  cpSync(`${FIXTURES}${model}/hf`, source, { recursive: true })
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'generation_config.json']) {
    cpSync(`${FIXTURES}${model}/${name}`, join(source, name))
  }
  const out = join(folder, `${model}-${where}`)
  const files = await exportOnnx(source, out, options)
  expect(files.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['onnx/encoder_model.onnx', 'onnx/decoder_model_merged.onnx', 'config.json', 'tokenizer.json']),
  )
  expect(files.filter(({ path }) => path.endsWith('_data'))).toHaveLength(where === 'beside' ? 2 : 0)

  await expect(exportOnnx(source, out, options)).rejects.toMatchObject({ code: 'export-exists' })
  expect(await exportOnnx(source, out, { ...options, overwrite: true })).toEqual(files)

  env.allowRemoteModels = false
  env.localModelPath = `${dirname(out)}/`
  const pipe = await pipeline('text2text-generation', basename(out), { dtype: 'fp32' })
  const { texts, input_ids, attention_mask, base_greedy } = references[model]!
  const made = (await pipe.model.generate({
    inputs: long(input_ids),
    attention_mask: long(attention_mask),
    max_new_tokens: base_greedy[0]!.length - 1,
  } as never)) as HubTensor
  expect(made.tolist().map((row: bigint[]) => row.map(Number))).toEqual(base_greedy)
  const [answer] = (await pipe(texts[0]!, { max_new_tokens: base_greedy[0]!.length - 1 } as never)) as { generated_text: string }[]
  expect(answer!.generated_text).toBe(pipe.tokenizer.decode(base_greedy[0]!, { skip_special_tokens: true }))
  await pipe.dispose()
})

test('a checkpoint with spiece.model alone gets the tokenizer files that transformers.js reads', async () => {
  const source = join(folder, 'spiece-only')
  cpSync(`${FIXTURES}tiny-t5-v10/hf`, source, { recursive: true })
  cpSync(`${FIXTURES}tiny-t5-v10/spiece.model`, join(source, 'spiece.model'))
  writeFileSync(join(source, 'added_tokens.json'), '{"[new york]": 512}')
  const out = join(folder, 'spiece-exported')
  const files = await exportOnnx(source, out)
  expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining(['tokenizer.json', 'tokenizer_config.json']))
  env.allowRemoteModels = false
  env.localModelPath = `${dirname(out)}/`
  const stock = await AutoTokenizer.from_pretrained(basename(out), { local_files_only: true })
  const [ours, exported] = await Promise.all([openTokenizer(source), openTokenizer(out)])
  const { texts } = references['tiny-t5-v10']!
  for (const text of [...texts, 'to [new york] now']) {
    expect(stock.encode(text)).toEqual(ours.encode(text))
    expect(exported.encode(text)).toEqual(ours.encode(text))
  }
  expect(ours.encode('[new york]')).toHaveLength(2)
})
