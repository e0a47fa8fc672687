/** From folders on disk to answers: PEFT adapters as they are, and base models that this project exported itself. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { exportOnnx } from '../../adapters/compose/export.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { folderOf, MODELS, PROMPTS, reference } from './fixtures.ts'

const adapter = (model: string, name: string): string =>
  fileURLToPath(new URL(`../fixtures/onnx/adapters/${model}-${name}`, import.meta.url))
const temporary = mkdtempSync(join(tmpdir(), 'soft-prompts-'))
afterAll(() => rmSync(temporary, { recursive: true }))

/** One mixed batch: every prompt and none, each on its own text. */
async function mixedAnswers(model: (typeof MODELS)[number], base: string): Promise<{ got: unknown; expected: unknown }> {
  const ref = reference(model)
  const pipe = await loadPrompted(
    PROMPTS.map((name) => adapter(model, name)),
    { base },
  )
  const names = [`${model}-b`, null, `${model}-c`, `${model}-a`]
  const got = await pipe([...ref.texts], { soft_prompt: names, max_new_tokens: (ref.base_greedy[0]?.length ?? 0) - 1 })
  const tokens = [ref.adapters.b.greedy[0], ref.base_greedy[1], ref.adapters.c.greedy[2], ref.adapters.a.greedy[3]]
  const expected = tokens.map((ids) => ({ generated_text: pipe.stock.tokenizer.decode([...(ids ?? [])], { skip_special_tokens: true }) }))
  await pipe.dispose()
  return { got, expected }
}

describe.each(MODELS)('%s', (model) => {
  it('PEFT folders on an optimum export answer as PEFT', async () => {
    const { got, expected } = await mixedAnswers(model, folderOf(model))
    expect(got).toEqual(expected)
  })

  it('PEFT folders on our own export answer as PEFT', async () => {
    const out = join(temporary, model)
    await exportOnnx(join(folderOf(model), 'hf'), out)
    for (const file of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json'])
      copyFileSync(join(folderOf(model), file), join(out, file))
    const { got, expected } = await mixedAnswers(model, out)
    expect(got).toEqual(expected)
  })
})
