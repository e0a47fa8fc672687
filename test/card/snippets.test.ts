/** Every snippet that a card prints runs as it is printed, against a hub of its own: JavaScript here, Python with the reference libraries (skipped without them). */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { createRepo, uploadFiles } from '@huggingface/hub'
import { MODEL_LIBRARIES_UI_ELEMENTS, type ModelData } from '@huggingface/tasks'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { writePromptFolder } from '../../adapters/artifact/folder.ts'
import { renderCardFiles } from '../../adapters/compose/card.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { startHub, type Hub } from '../../adapters/hub/server/start.ts'
import { promptCard } from '../../hub-cards/prompt.ts'
import { renderCard } from '../../src/card/card.ts'
import type { CardFacts } from '../../src/card/facts.ts'
import { hasPython } from '../artifact/python.ts'
import { folderOf, promptOf, reference } from '../attach/fixtures.ts'

const TOKEN = 'hf_snippetTestToken0123456789abcd'
const MODEL = 'tiny-t5-v11'
const BASE = `team/${MODEL}`
const ref = reference(MODEL)
const python = process.env['SOFT_PROMPTS_PYTHON'] ?? resolve(import.meta.dirname, '../../.peers/bin/python')

let dir = ''
let home = ''
let server: Hub

const filesOf = async (folder: string, prefix = ''): Promise<[string, Buffer][]> => {
  const items = await readdir(folder, { withFileTypes: true, recursive: true })
  const files = items.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name))
  return Promise.all(files.map(async (file) => [prefix + file.slice(folder.length + 1), await readFile(file)] as [string, Buffer]))
}

/** A template without fields is the text itself, so every snippet asks what the reference answered. */
const text = ref.texts[0] as string
const facts = (labels?: readonly string[], name = 'tiny-a'): CardFacts => ({
  manifest: {
    base: { id: BASE, onnxId: BASE },
    template: text,
    generation: { max_new_tokens: (ref.base_greedy[0]?.length ?? 0) - 1 },
    ...(labels ? { labels } : {}),
  },
  length: ref.adapters.a.P,
  width: 64,
  repo: `me/${name}`,
})
const snippets = (card: string, language: string): string[] =>
  [...card.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map((match) => match[1] ?? '')

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'soft-prompts-snippets-'))
  home = join(dir, 'home')
  server = await startHub({ dir: join(dir, 'hub'), tokens: { [TOKEN]: { name: 'me', role: 'write', orgs: ['team'] } } })
  const folder = folderOf(MODEL)
  const model = (await filesOf(folder)).filter(([name]) => name !== 'hf/config.json')
  const repo = { repo: { type: 'model' as const, name: BASE }, accessToken: TOKEN, hubUrl: server.url }
  await createRepo(repo)
  await uploadFiles({
    ...repo,
    files: model.map(([name, bytes]) => ({ path: name.replace(/^hf\//, ''), content: new Blob([new Uint8Array(bytes)]) })),
  })
  for (const [name, labels] of [
    ['tiny-a', undefined],
    ['tiny-labels', ['light', 'tree']],
  ] as const) {
    const { manifest } = facts(labels)
    const out = join(dir, name)
    await writePromptFolder({ ...promptOf(MODEL, 'a'), manifest }, out)
    await writeFile(join(out, 'README.md'), renderCard(facts(labels, name), promptCard))
    await pushPrompt({ hubUrl: server.url, token: TOKEN, dir: out, repo: `me/${name}` })
  }
})
afterAll(async () => {
  await server.close()
  await rm(dir, { recursive: true, force: true })
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

/** Runs a snippet as a module of this package's user; what it logged comes back. */
async function runJs(source: string): Promise<unknown[]> {
  vi.stubEnv('HF_ENDPOINT', server.url)
  vi.stubEnv('HF_HOME', home)
  vi.stubEnv('HF_TOKEN', TOKEN)
  vi.stubEnv('HF_HUB_OFFLINE', '0')
  const logged: unknown[] = []
  vi.spyOn(console, 'log').mockImplementation((value: unknown) => void logged.push(value))
  // Beside this file, so that packages are found.
  const path = join(import.meta.dirname, `snippet-${process.pid}-${logged.length}-${Date.now()}.ts`)
  await writeFile(path, source)
  try {
    await import(/* @vite-ignore */ path)
  } finally {
    await rm(path)
  }
  return logged
}

async function runPython(source: string, cwd = dir): Promise<string> {
  const env = {
    ...process.env,
    HF_ENDPOINT: server.url,
    HF_HOME: join(dir, 'python'),
    HF_TOKEN: TOKEN,
    HF_HUB_OFFLINE: '0',
    OMP_NUM_THREADS: '1',
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
    PYTHONWARNINGS: 'ignore',
  }
  const { stdout } = await promisify(execFile)(python, ['-c', source], { env, cwd, timeout: 110_000 })
  return stdout.trim().split('\n').at(-1) ?? ''
}

describe('JavaScript', () => {
  it('the card prints three snippets, and two of Python, and no other code to run', () => {
    const card = renderCard(facts(), promptCard)
    expect([snippets(card, 'js').length, snippets(card, 'python').length, card.match(/^```\w+$/gm)?.length]).toEqual([3, 2, 6])
  })

  it('transformers.js: answers as the reference', async () => {
    const [generate = ''] = snippets(renderCard(facts(), promptCard), 'js')
    const [answers] = await runJs(generate)
    const { AutoTokenizer } = await import('@huggingface/transformers')
    const tokenizer = await AutoTokenizer.from_pretrained(folderOf(MODEL))
    expect(answers).toEqual([{ generated_text: tokenizer.decode(ref.adapters.a.greedy[0] as number[], { skip_special_tokens: true }) }])
  })

  it('transformers.js: scores the labels', async () => {
    const [classify = ''] = snippets(renderCard(facts(['light', 'tree'], 'tiny-labels'), promptCard), 'js')
    expect(classify).toContain('pipe.classify(')
    const [scores] = (await runJs(classify)) as { label: string; score: number }[][]
    expect(scores?.map(({ label }) => label).toSorted()).toEqual(['light', 'tree'])
    expect(scores?.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1)
  })

  it('plain onnxruntime: hidden states with the prompt in front', async () => {
    const [, , plain = ''] = snippets(renderCard(facts(), promptCard), 'js')
    const before = process.cwd()
    process.chdir(folderOf(MODEL))
    try {
      expect(await runJs(plain)).toEqual([[1, ref.adapters.a.P + 3, 64]])
    } finally {
      process.chdir(before)
    }
  })
})

describe.skipIf(!hasPython('torch', 'transformers', 'huggingface_hub'))('Python', () => {
  const expected = JSON.stringify(ref.adapters.a.greedy[0])
  const print = '\nimport json\nprint(json.dumps(answer[0].tolist(), separators=(",", ":")))'

  it('five lines of transformers', async () => {
    const [plain = ''] = snippets(renderCard(facts(), promptCard), 'python')
    expect(plain.split('\n\n')[1]?.trim().split('\n')).toHaveLength(5)
    expect(await runPython(plain + print)).toBe(expected)
  })

  it.skipIf(!hasPython('peft'))('both, beside the folders of a prompt and a base that are not on a hub', async () => {
    const folder = join(dir, 'folders')
    await cp(join(folderOf(MODEL), 'hf'), join(folder, 'tiny-base'), { recursive: true })
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) await cp(join(folderOf(MODEL), name), join(folder, 'tiny-base', name))
    const { manifest } = facts()
    const local = { ...manifest, base: { id: 'tiny-base' } }
    await writePromptFolder({ ...promptOf(MODEL, 'a'), manifest: local }, join(folder, 'mine'))
    const card = (await renderCardFiles(join(folder, 'mine'))).get('README.md') ?? ''
    for (const source of snippets(card, 'python')) {
      expect(source).toContain('"./mine')
      expect(await runPython(source + print, folder)).toBe(expected)
    }
  })

  it.skipIf(!hasPython('peft'))(
    'what the Hub itself shows does with these versions what the card says of it, and does with its two lines',
    async () => {
      const repo = (await (
        await fetch(`${server.url}/api/models/me/tiny-a`, { headers: { authorization: `Bearer ${TOKEN}` } })
      ).json()) as ModelData
      const [shown = ''] = MODEL_LIBRARIES_UI_ELEMENTS['peft']?.snippets?.(repo) ?? []
      expect(shown).toContain('PeftModel.from_pretrained(base_model, "me/tiny-a")')
      const card = renderCard(facts(), promptCard)
      expect(card).toContain('end with an AttributeError')
      await expect(runPython(shown)).rejects.toThrow('AttributeError')
      // The card's lines are the Hub's, with others between and behind them.
      const [, peft = ''] = snippets(card, 'python')
      const lines = peft.split('\n')
      for (const line of shown.split('\n').filter((part) => part !== '')) expect(lines.some((other) => other.startsWith(line))).toBe(true)
    },
  )

  it.skipIf(!hasPython('peft'))('PEFT, of the version the card names', async () => {
    const card = renderCard(facts(), promptCard)
    const [, peft = ''] = snippets(card, 'python')
    const versions = (await runPython('import peft, transformers; print(peft.__version__, transformers.__version__)')).split(' ')
    // The versions that run here, and no others: nothing is claimed of those.
    expect([...card.matchAll(/(?:PEFT|transformers) \d[\d.]*\d/g)].map(([version]) => version)).toEqual([
      `PEFT ${versions[0]}`,
      `transformers ${versions[1]}`,
    ])
    expect(await runPython(peft + print)).toBe(expected)
  })
})
