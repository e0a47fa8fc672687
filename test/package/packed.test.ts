/** The package as npm packs it, unpacked into an app's node_modules: every export path by import and by require, types, and one line to an answer. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { folderOf, reference } from '../attach/fixtures.ts'
import { root } from '../program.ts'
import { packApp, run } from './app.ts'

const model = 'tiny-t5-v11'
const ref = reference(model)
const PATHS = Object.keys(manifest.exports).map((path) => manifest.name + path.slice(1))
const CODE = PATHS.filter((path) => !path.endsWith('.json'))
let app = ''

/** Runs a program of the app; the last line it prints is JSON. */
function runApp(name: string, program: string, runtime: readonly [string, ...string[]] = [process.execPath]): unknown {
  writeFileSync(join(app, name), program)
  const [command, ...args] = runtime
  return JSON.parse(
    run(command, [...args, name], app)
      .trim()
      .split('\n')
      .at(-1) as string,
  )
}

beforeAll(() => {
  app = packApp()
})
afterAll(() => rmSync(app, { recursive: true, force: true }))

const adapter = JSON.stringify(fileURLToPath(new URL(`../fixtures/onnx/adapters/${model}-a`, import.meta.url)))
const ask = `loadPrompted(${adapter}, { base: ${JSON.stringify(folderOf(model))} })
  .then(async (pipe) => {
    const answers = await pipe(${JSON.stringify(ref.texts[0])}, { max_new_tokens: ${(ref.base_greedy[0]?.length ?? 0) - 1} })
    console.log(JSON.stringify([answers[0].generated_text, pipe.stock.tokenizer.decode(${JSON.stringify(ref.adapters.a.greedy[0])}, { skip_special_tokens: true })]))
    await pipe.dispose()
  })`

describe('the packed package', () => {
  it('holds what runs, and no tests, benches or models', () => {
    const top = readdirSync(join(app, 'node_modules', manifest.name))
    expect(top.toSorted()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'adapters',
      'dist',
      'hub-cards',
      'package.json',
      'scripts',
      'src',
    ])
    expect(readdirSync(join(app, 'node_modules', manifest.name, 'dist')).toSorted()).toEqual(['adapters', 'hub-cards', 'scripts', 'src'])
  })

  it('imports by every path', () => {
    const list = PATHS.map(
      (path) =>
        `[${JSON.stringify(path)}, await import(${JSON.stringify(path)}${path.endsWith('.json') ? ', { with: { type: "json" } }' : ''})]`,
    )
    const found = runApp(
      'esm.mjs',
      `console.log(JSON.stringify([${list.join(',\n')}].map(([path, made]) => [path, Object.keys(made).length])))`,
    ) as [string, number][]
    expect(found.map(([path]) => path)).toEqual(PATHS)
    for (const [path, count] of found) expect([path, count > 0]).toEqual([path, true])
  })

  const features = process.features as { readonly require_module?: boolean }
  it.skipIf(!features.require_module)(
    'is required by every path (skipped where this Node cannot require ES modules: before 20.19 and 22.12)',
    () => {
      const found = runApp(
        'cjs.cjs',
        `console.log(JSON.stringify(${JSON.stringify(PATHS)}.map((path) => [path, Object.keys(require(path)).length])))`,
      ) as [string, number][]
      for (const [path, count] of found) expect([path, count > 0]).toEqual([path, true])
    },
  )

  it('answers as PEFT from an ES module', () => {
    const [answer, expected] = runApp('answer.mjs', `import { loadPrompted } from 'soft-prompts/transformers'\nawait ${ask}`) as string[]
    expect(answer).toBe(expected)
  })
  it.skipIf(!features.require_module)('answers as PEFT from CommonJS', () => {
    const [answer, expected] = runApp('answer.cjs', `const { loadPrompted } = require('soft-prompts/transformers')\n${ask}`) as string[]
    expect(answer).toBe(expected)
  })

  const others: readonly (readonly [string, string | undefined, ...string[]])[] = [
    ['Deno', process.env['DENO'], 'run', '-A'],
    ['Bun', process.env['BUN'], 'run'],
  ]
  for (const [name, runtime, ...args] of others) {
    it.skipIf(runtime === undefined)(`answers as PEFT in ${name} (skipped unless ${name.toUpperCase()} says where it is)`, () => {
      const program = `import { loadPrompted } from 'soft-prompts/transformers'\nawait ${ask}`
      const [answer, expected] = runApp('answer.mjs', program, [runtime as string, ...args]) as string[]
      expect(answer).toBe(expected)
    })
  }

  it('has commands', () => {
    const asked = [
      ...Object.values(manifest.bin).map((bin) => [bin, '--help', 'Usage'] as const),
      [manifest.bin['soft-prompts'], '--version', manifest.version],
    ]
    for (const [bin = '', flag = '', told] of asked) {
      expect(run(process.execPath, [join('node_modules', manifest.name, bin), flag], app)).toContain(told)
    }
  })

  it('has types for a strict app', () => {
    const lines = CODE.map((path, index) => `import * as m${index} from '${path}'\nexport const t${index}: object = m${index}`)
    writeFileSync(
      join(app, 'types.ts'),
      `${lines.join('\n')}
import { loadPrompted } from 'soft-prompts/transformers'
export async function ask(): Promise<string | undefined> {
  const pipe = await loadPrompted('me/x')
  const [best] = await pipe.classify('text', { soft_prompt: null, labels: ['a', 'b'] })
  // @ts-expect-error: a prompt is a name, or null
  await pipe('text', { soft_prompt: 5 })
  return best?.label
}
`,
    )
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--target',
      'es2023',
      '--module',
      'nodenext',
      '--lib',
      'es2023,dom,dom.iterable,dom.asynciterable',
      '--types',
      'node',
      '--skipLibCheck',
    ]
    expect(run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...options, 'types.ts'], app)).toBe('')
  })
})
