/** The README's own commands, word for word: the packed package in an empty folder, a hub, and another folder that loads what was shared. */
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createRepo, uploadFiles } from '@huggingface/hub'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startHub, type Hub } from '../../adapters/hub/server/start.ts'
import { root } from '../program.ts'
import { packApp } from './app.ts'

const TOKEN = 'hf_firstHourToken0123456789abcd'
const README = readFileSync(join(root, 'README.md'), 'utf8')
/** The small base of this repository stands on the hub under the name that the README trains on. */
const BASE = 'google-t5/t5-small'
const BASE_FILES = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']

/** The first code block of a language in a section of the README. */
function blockOf(section: string, language: string): string {
  const after = README.slice(README.indexOf(`\n## ${section}\n`) + 1)
  const text = after.slice(0, after.indexOf('\n## ', 1))
  const [, block] = new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(text) ?? []
  if (block === undefined) throw new Error(`README has no ${language} block in ${section}`)
  return block
}
const commandsOf = (section: string): string[] => blockOf(section, 'bash').trim().split('\n')

const dir = mkdtempSync(join(tmpdir(), 'soft-prompts-first-hour-'))
const empty = join(dir, 'empty')
const elsewhere = join(dir, 'elsewhere')
let app = ''
let hub: Hub

/** Runs a line in a shell, as a person does. */
async function type(line: string, cwd: string): Promise<string> {
  const env = {
    ...process.env,
    PATH: [join(app, 'node_modules/.bin'), process.env['PATH']].join(delimiter),
    HF_ENDPOINT: hub.url,
    HF_TOKEN: TOKEN,
    HF_HOME: join(dir, 'home'),
  }
  const child = spawn('sh', ['-c', line], { cwd, env })
  let told = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (told += bytes.toString()))
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`${line} ended with ${String(code)}:\n${told}`)
  return told
}

beforeAll(async () => {
  app = packApp()
  for (const name of ['soft-prompts', 'push-prompt', 'pull-prompt']) chmodSync(join(app, 'node_modules/.bin', name), 0o755)
  hub = await startHub({ dir: join(dir, 'hub'), tokens: { [TOKEN]: { name: 'me', role: 'write', orgs: ['google-t5'] } } })
  const access = { repo: { type: 'model' as const, name: BASE }, accessToken: TOKEN, hubUrl: hub.url }
  await createRepo(access)
  const files = BASE_FILES.map((path) => ({ path, content: new Blob([readFileSync(join(root, 'models/t5-tiny-en', path))]) }))
  await uploadFiles({ ...access, files })
  for (const folder of [empty, elsewhere]) {
    mkdirSync(folder)
    symlinkSync(join(app, 'node_modules'), join(folder, 'node_modules'))
  }
  const rows = join(root, 'examples/data/sentiment')
  copyFileSync(join(rows, 'train.jsonl'), join(empty, 'reviews.jsonl'))
  copyFileSync(join(rows, 'dev.jsonl'), join(empty, 'dev.jsonl'))
})
afterAll(async () => {
  await hub.close()
  for (const folder of [dir, app]) rmSync(folder, { recursive: true, force: true })
})

describe('the first hour with the README', () => {
  it('trains, asks, shares and pulls back', async () => {
    const [train = '', ...ask] = commandsOf('Train')
    expect(train).toContain(`--model ${BASE} `)
    expect(await type(train, empty)).toContain('soft-prompts run my-prompt')
    for (const line of ask) expect(await type(line, empty)).toMatch(/(positive|negative)\s+\(/)
    for (const line of commandsOf('Share')) await type(line, empty)
    const card = readFileSync(join(empty, 'prompts/sst2/README.md'), 'utf8')
    expect(card).toContain(`base_model: ${BASE}`)
    expect(card).not.toContain(dir)
  }, 900_000)

  it('loads what was shared in another folder, by the README’s first snippet and by a command', async () => {
    const snippet = /```ts\n([^]*?)```/.exec(README)?.[1] as string
    expect(snippet).toContain("loadPrompted('me/t5-small-sst2')")
    writeFileSync(
      join(elsewhere, 'snippet.mjs'),
      `${snippet.replace('await pipe.classify', 'const scores = await pipe.classify')}\nconsole.log(JSON.stringify(scores))\nawait pipe.dispose()`,
    )
    const scores = JSON.parse((await type('node snippet.mjs', elsewhere)).trim().split('\n').at(-1) as string) as {
      label: string
      score: number
    }[]
    expect(scores.map(({ label }) => label).toSorted()).toEqual(['negative', 'positive'])
    expect(scores.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1)
    expect(await type('soft-prompts run me/t5-small-sst2 "a film of charm and wit"', elsewhere)).toContain(scores[0]?.label)
    expect(await type(`soft-prompts search --base ${BASE}`, elsewhere)).toContain('me/t5-small-sst2')
  })
})
