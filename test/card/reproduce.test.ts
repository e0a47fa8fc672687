/** The command that a card prints trains the same prompt again: run by a shell as it stands, compared byte by byte. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { renderCardFiles } from '../../adapters/compose/card.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'
import { ownNames, RECIPE_FLAGS, trainCommand } from '../../src/card/reproduce.ts'
import { makeRecipe } from '../../src/train/recipe.ts'
import { train } from '../../scripts/train.ts'
import { compile, type Compiled } from '../scripts/child.ts'

const root = new URL('../../', import.meta.url).pathname
let cli: Compiled
let dir = ''

const row = (index: number): string => JSON.stringify({ say: `it's number ${index}`, 'the answer': String(index % 3) })
const rows = (from: number, count: number): string => Array.from({ length: count }, (_, index) => row(from + index)).join('\n')

beforeAll(() => {
  cli = compile()
  dir = mkdtempSync(join(tmpdir(), 'soft-prompts-again-'))
  symlinkSync(join(root, 'models/t5-tiny-en'), join(dir, 't5-tiny-en'))
  writeFileSync(join(dir, 'train rows.jsonl'), rows(0, 31))
  writeFileSync(join(dir, 'dev.jsonl'), rows(50, 9))
})
afterAll(() => {
  cli?.remove()
  rmSync(dir, { recursive: true, force: true })
})

/** A shell in which `soft-prompts` is this checkout's. */
const shell = (script: string): Promise<unknown> =>
  promisify(execFile)('bash', ['-euc', `soft-prompts() { "${process.execPath}" "${cli.script}" "$@" --threads 1; }\n${script}`], {
    cwd: dir,
  })

const camel = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
/** Another value of the same kind. */
const other = (value: unknown): unknown => (typeof value === 'number' ? value + 0.5 : typeof value === 'boolean' ? !value : 'another')

describe('the command on a card', () => {
  it('gives the same prompt, whatever quotes and spaces its texts hold', async () => {
    const labels = JSON.stringify({ 0: "don't", 1: 'a "b" $HOME', 2: '--x' })
    await shell(
      `soft-prompts train --model t5-tiny-en --data 'train rows.jsonl' --dev dev.jsonl --out first --template 'It'"'"'s: {say} \`id\`' --target 'the answer' --label-map '${labels.replaceAll("'", String.raw`'\''`)}' --length 3 --steps 5 --batch 4 --lr 0.25 --schedule cosine --warmup 2 --seed 9 --eval-every 2 --max-input 40 --failures 3 --task "q's"`,
    )
    const card = (await renderCardFiles(join(dir, 'first'))).get('README.md') ?? ''
    const command = /^```sh\n([\s\S]*?)^```$/m.exec(card)?.[1] ?? ''
    expect(command).toContain('--schedule cosine')
    await shell(command)
    for (const file of ['adapter_model.safetensors', 'training_log.jsonl'])
      expect(readFileSync(join(dir, 'my-prompt', file)).equals(readFileSync(join(dir, 'first', file)))).toBe(true)
    // What the card sets beside the figure was measured on the same rows.
    const { manifest } = await openPrompt(join(dir, 'first'))
    expect(manifest.baselines?.map(({ of, name, n }) => [of, name, n])).toEqual([
      ['untuned', 'accuracy', 9],
      ['untuned', 'f1', 9],
      ['majority', 'accuracy', 9],
      ['majority', 'f1', 9],
    ])
    // 31 rows: number 0 comes most often; three of the nine development rows are of it.
    expect(manifest.baselines?.[2]?.value).toBeCloseTo(1 / 3)
    expect(manifest.nearest).toHaveLength(3)
    const accuracy = manifest.metrics?.[0]?.value ?? 1
    expect(manifest.failures).toHaveLength(Math.min(3, Math.round(9 * (1 - accuracy))))
    expect(card).toContain('## Where it fails')
    expect(card).toContain('base without it')
  })

  it('says every choice of a recipe that is not the usual one, by a flag that train has', () => {
    const usual: Readonly<Record<string, unknown>> = { ...makeRecipe() }
    const said = Object.entries(RECIPE_FLAGS).flatMap(([field, name]) => {
      const recipe = { ...whole.recipe, [field]: other(usual[field]) } as NonNullable<Manifest['recipe']>
      const words: readonly string[] = trainCommand({ ...whole, recipe })?.match(/--[a-z-]+/g) ?? []
      return name === null ? [] : [[field, name, words.includes(`--${name}`), Object.hasOwn(train.flags, camel(name))]]
    })
    expect(said.filter(([, , onCommand, known]) => onCommand !== true || known !== true)).toEqual([])
    // Every field has its place there, and on the card.
    expect(Object.keys(RECIPE_FLAGS).toSorted()).toEqual([...Object.keys(usual), 'engine'].toSorted())
  })

  const whole: Manifest = {
    base: { id: 'me/base' },
    data: { name: 'rows.jsonl', rows: 3, sha256: '' },
    recipe: {
      ...makeRecipe(),
      init: 'vocab',
    },
  }
  it('names the files and folders that lie with its author, and no others', () => {
    expect(ownNames(whole)).toEqual(['rows.jsonl'])
    const data = { name: 'a/set', split: 'train', rows: 3, sha256: '' }
    expect(ownNames({ ...whole, data })).toEqual([])
    expect(ownNames({ ...whole, base: { id: 't5-small' }, data })).toEqual([])
    expect(ownNames({ ...whole, base: { id: '/somewhere/base' }, dev: { name: 'rows.jsonl', rows: 1, sha256: '' } })).toEqual([
      'base',
      'rows.jsonl',
    ])
    expect(trainCommand({ ...whole, base: { id: '/somewhere/base' } })).toContain('--model base ')
    expect(trainCommand({ ...whole, base: { id: 't5-small' } })).toContain('--model google-t5/t5-small ')
  })

  it('is left out where a fact is missing or cannot be shown whole', () => {
    expect(trainCommand(whole)).toBe(
      'soft-prompts train \\\n  --model me/base \\\n  --data rows.jsonl \\\n  --generate \\\n  --init vocab \\\n  --out my-prompt',
    )
    for (const part of [
      { base: { id: '' } },
      { data: { ...whole.data, name: 'standard input' } },
      { recipe: { ...whole.recipe, init: 'prompt' } },
      { recipe: { ...whole.recipe, newer: 3 } },
      { template: 'two\nlines {input}' },
      { template: 'x'.repeat(5000) },
      { dev: { name: 'other/set', split: 'test', rows: 1, sha256: '' } },
    ])
      expect(trainCommand({ ...whole, ...part } as Manifest)).toBeUndefined()
    const split = { dev: { name: 'dev.jsonl', rows: 1, sha256: '' }, recipe: { ...whole.recipe, holdOut: 5 } }
    expect(trainCommand({ ...whole, ...split } as Manifest)).toMatch(/--dev dev.jsonl(?![^]*--hold-out)/)
    const { recipe: _, ...bare } = whole
    expect(trainCommand(bare)).toBeUndefined()
  })
})
