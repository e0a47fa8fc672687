/** Python PEFT takes what we write: not a warning, and the logits of the adapter it came from. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { hasPython, runPython } from './python.ts'

const onnx = join(import.meta.dirname, '../fixtures/onnx')
const base = join(onnx, 'tiny-t5-v10/hf')

// Without Python's torch, transformers and peft these are skipped; CONTRIBUTING says how to install them.
describe.skipIf(!hasPython('torch', 'transformers', 'peft'))('PEFT loads what we write', () => {
  it('without a warning, with equal logits; F16 and BF16 within their rounding', { timeout: 120_000 }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'peft-'))
    const reference = join(onnx, 'adapters/tiny-t5-v10-a')
    const prompt = await openPrompt(reference)
    const written = { ...prompt, manifest: { base: { id: base, revision: 'main' }, template: '{input}' } }
    const card = '---\nlibrary_name: peft\n---\n'
    await writePromptFolder(written, join(dir, 'f32'), { heads: 4, layers: 3, card })
    await writePromptFolder(written, join(dir, 'f16'), { dtype: 'F16' })
    await writePromptFolder(written, join(dir, 'bf16'), { dtype: 'BF16' })
    // A key of ours makes PEFT warn: this shows that warnings are seen at all.
    await cp(join(dir, 'f32'), join(dir, 'ours'), { recursive: true })
    const config = join(dir, 'ours/adapter_config.json')
    await writeFile(config, (await readFile(config, 'utf8')).replace('{', '{"soft_prompt": 1,'))
    const folders = ['f32', 'f16', 'bf16', 'ours'].map((name) => join(dir, name))
    const results = (await runPython('check_peft.py', base, reference, ...folders)) as {
      readonly warnings: string[]
      readonly difference: number
      readonly spread: number
    }[]
    expect(results.slice(0, 3).map(({ warnings }) => warnings)).toEqual([[], [], []])
    expect(results[3]?.warnings).toEqual([expect.stringContaining('soft_prompt')])
    const [f32, f16, bf16] = results.map(({ difference, spread }) => difference / spread)
    expect(f32).toBe(0)
    expect(f16).toBeGreaterThan(0)
    expect(f16).toBeLessThan(0.01)
    expect(bf16).toBeLessThan(0.1)
    await rm(dir, { recursive: true, force: true })
  })
})
