/** What a person wrote in a card stays, to the letter, when facts are put into it; what cannot be read is refused and never replaced. */
import { assert, constantFrom, oneof, property, string, tuple } from 'fast-check'
import { mkdtemp, cp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { writeCard } from '../../adapters/compose/card.ts'
import { promptCard } from '../../hub-cards/prompt.ts'
import { renderCard } from '../../src/card/card.ts'
import type { CardFacts } from '../../src/card/facts.ts'
import { checkCardData, readCardData, splitCard } from '../../src/card/front-matter.ts'
import { card as command } from '../../scripts/card.ts'
import { commandLine, main } from '../../scripts/cli/main.ts'

const facts: CardFacts = {
  manifest: {
    base: { id: 'google-t5/t5-small' },
    task: 'Sentiment',
    labels: ['bad', 'good'],
    data: { name: 'stanfordnlp/sst2', rows: 10, sha256: 'ab'.repeat(32) },
    metrics: [{ name: 'accuracy', split: 'dev', value: 0.9, n: 200 }],
  },
  length: 20,
  width: 512,
  repo: 'me/mine',
}
const render = (existing = '', changed: Partial<CardFacts['manifest']> = {}): string =>
  renderCard({ ...facts, manifest: { ...facts.manifest, ...changed } }, promptCard, existing)

const BY_HAND = `# ours, keep
title:   "Mine"   # three blanks
license: other
license_name: my-licence
license_link: LICENSE
language: [en, no]
base_model:
- google-t5/t5-small   # what it runs on
- me/merge-parent
base_model_relation: merge

tags: sentiment
metrics:
- recall
library_name: soft
widget:
  - text: 'a: "b"'
    example_title: |
      two
      lines
model-index:
- name: mine
  results:
  - task: {type: text-classification}
    dataset: {type: rotten_tomatoes, name: Rotten Tomatoes by hand} # measured in May
    metrics:
    - {type: accuracy, value: 0.77}
co2: {emissions:   12}
# the end
`

describe('hand-made front matter', () => {
  const card = render(`---\n${BY_HAND}---\nbody\n`)
  const data = readCardData(card, true)

  it('stays, beside ours', () => {
    expect(data).toMatchObject({
      license: 'other',
      license_name: 'my-licence',
      language: ['en', 'no'],
      base_model: ['google-t5/t5-small', 'me/merge-parent'],
      base_model_relation: 'merge',
      tags: ['sentiment', 'soft-prompts', 'prompt-tuning', 'transformers.js'],
      metrics: ['recall', 'accuracy'],
      library_name: 'soft',
      pipeline_tag: 'text-classification',
      datasets: ['stanfordnlp/sst2'],
    })
    const [model] = data['model-index'] as { name: string; results: { dataset: { name: string }; metrics: { value: number }[] }[] }[]
    expect(model?.name).toBe('mine')
    expect(model?.results.map(({ dataset, metrics }) => [dataset.name, metrics[0]?.value])).toEqual([
      ['Rotten Tomatoes by hand', 0.77],
      ['stanfordnlp/sst2', 0.9],
    ])
    expect(checkCardData(data)).toEqual([])
  })

  it('stays to the letter where nothing is added, in its order', () => {
    const { yaml } = splitCard(card)
    const [before = '', after = ''] = BY_HAND.split('tags: sentiment\nmetrics:\n- recall\n')
    expect(yaml.startsWith(before)).toBe(true)
    expect(yaml).toContain(after.slice(0, after.indexOf('model-index')))
    expect(yaml).toContain('co2: {emissions:   12}\n# the end\n')
    expect(yaml).toContain('# measured in May')
    const keys = Object.keys(data)
    expect(keys.slice(0, 12)).toEqual(Object.keys(readCardData(`---\n${BY_HAND}---\n`)).slice(0, 12))
  })

  it('stays in every later card, and only ours changes', () => {
    expect(render(card)).toBe(card)
    const again = readCardData(render(card, { metrics: [{ name: 'f1', split: 'dev', value: 0.8, n: 200 }] }), true)
    expect(JSON.stringify(again['model-index'])).toContain('0.77')
    expect(JSON.stringify(again['model-index'])).toContain('0.8')
    expect(JSON.stringify(again['model-index'])).not.toContain('0.9')
    const none = readCardData(render(card, { metrics: [] }), true)
    expect(JSON.stringify(none['model-index'])).toContain('0.77')
    expect(JSON.stringify(none['model-index'])).not.toContain('0.9')
  })

  it('a figure put by hand into a result of ours stays there', () => {
    const edited = render().replace('        metrics:\n', '        metrics:\n          - { type: recall, value: 0.5 } # mine\n')
    const again = render(edited, { metrics: [{ name: 'accuracy', split: 'dev', value: 0.91, n: 200 }] })
    expect(again).toContain('# mine')
    expect(again.match(/value: 0\.9\b/g)).toBeNull()
    expect(checkCardData(readCardData(again, true))).toEqual([])
    expect(render(again, { metrics: [{ name: 'accuracy', split: 'dev', value: 0.91, n: 200 }] })).toBe(again)
  })

  it('what an earlier card of ours said, and is no longer so, goes', () => {
    const other = { base: { id: 'google/t5-base-lm-adapt' }, data: { rows: 3, sha256: 'cd'.repeat(32) }, labels: [], metrics: [] }
    const again = readCardData(render(render(), other), true)
    expect(again['base_model']).toBe('google/t5-base-lm-adapt')
    for (const gone of ['datasets', 'pipeline_tag', 'model-index']) expect(again).not.toHaveProperty(gone)
    const mine = readCardData(render(render().replace('datasets:\n', 'datasets:\n  - me/more\n'), other), true)
    expect(mine['datasets']).toEqual(['me/more'])
    const theirs = readCardData(render('---\nbase_model: me/fork\n---\n'), true)
    expect(theirs['base_model']).toEqual(['me/fork', 'google-t5/t5-small'])
  })

  it.each([
    '{license: mit, tags: [film]}',
    'license: &l mit\nother: *l\ntags: [film] # x',
    '? license\n: mit\n? tags\n: [film]',
    '"license": mit\n"tags": film',
  ])('in another notation: %j', (yaml) => {
    const again = render(`---\n${yaml}\n---\nbody\n`)
    expect(readCardData(again, true)).toMatchObject({ license: 'mit', tags: ['film', 'soft-prompts', 'prompt-tuning', 'transformers.js'] })
    expect(render(again)).toBe(again)
  })

  it('keeps the ends of lines', () => {
    const windows = render('---\nlicense: mit\n---\n# Mine\n\ntext\n'.replaceAll('\n', '\r\n'))
    expect(windows.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/)
    expect(render(windows)).toBe(windows)
  })

  it('any words stay, and a second card changes nothing', () => {
    const word = oneof(string({ maxLength: 20 }), string({ unit: constantFrom(...' #:-\'"[]{}&*!|>%@`,?x'), maxLength: 12 }))
    assert(
      property(tuple(word, word, word), ([license, note, tag]) => {
        const quoted = `---\nlicense: ${JSON.stringify(license)} # ${note.replace(/[^ -~]/g, '')}\nnote: ${JSON.stringify(note)}\ntags: [${JSON.stringify(tag)}]\n---\n`
        const made = render(quoted)
        expect(made).toContain(quoted.split('\n').slice(1, 3).join('\n'))
        expect(readCardData(made, true)).toMatchObject({ license, note })
        expect((readCardData(made)['tags'] as string[])[0]).toBe(tag)
        expect(render(made)).toBe(made)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a hand-made body', () => {
  it('stays whole: sections named as ours are, headings without text, blank lines in code', () => {
    const body = '# Mine\n\n## Results\n\n| a |\n|---|\n| 1 |\n\n## Notes\n\n### Deep\n\n```\na\n\n\n\nb\n```\n\n## Limits\n\nNone known.\n'
    const card = render(`---\nlicense: mit\n---\n${body}`)
    expect(card.endsWith(`\n\n${body}`)).toBe(true)
    const between = card.replace('<!-- soft-prompts:limits -->', 'mine\n\n\n\nwith room\n\n<!-- soft-prompts:limits -->')
    expect(render(between)).toBe(between)
  })

  it('of an unfilled template what says something stays, with the headings above it', () => {
    const template =
      '# Model Card for Model ID\n\n<!-- Provide a quick summary -->\n\n## Uses\n\n### Direct Use\n\n<!-- x -->\n\n[More Information Needed]\n\n## Bias\n\n### Mine\n\nSome.\n\n- **Developed by:** [More Information Needed]\n\n## Contact\n\n[More Information Needed]\n'
    const card = render(`---\nlibrary_name: peft\n---\n${template}`)
    expect(card).toContain('## Bias\n\n### Mine\n\nSome.')
    expect(card).not.toMatch(/## Uses|Direct Use|Model ID|Contact/)
  })
})

describe('front matter that is not sound', () => {
  let dir = ''
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'soft-prompts-merge-'))
  })
  afterAll(() => rm(dir, { recursive: true, force: true }))

  it.each([
    ['license: mit\ntitle: mine: a prompt', 3, 'in quotes'],
    ['license: mit\ntags: [a]\nlicense: apache-2.0', 4, 'there already, in line 2'],
    ['license: mit\na: *nope', 3, 'names nothing'],
    ['license: mit\n? [a, b]\n: c', 3, 'a key is no word'],
    ['license: mit\na: [', 3, 'Line it up|Close'],
    ['license: mit\n\ta: b', 3, ''],
    ['- license\n- mit', 2, 'name: value'],
    [`license: mit\na: ${'['.repeat(9000)}`, 3, 'nested'],
    [`license: mit\na: ${'{a: '.repeat(200)}`, 3, 'nested'],
    [`license: mit\n${'? '.repeat(500)}a`, 3, 'nested'],
    [`license: mit\na:\n${Array.from({ length: 99 }, (_, at) => `${' '.repeat(at + 1)}a:`).join('\n')}`, undefined, 'nested'],
    [
      'a0: &a0 [x,x,x,x,x,x,x,x,x]\n' +
        Array.from({ length: 8 }, (_, at) => `a${at + 1}: &a${at + 1} [${Array(9).fill(`*a${at}`).join()}]`).join('\n'),
      undefined,
      'aliases',
    ],
  ] as const)('is refused with its line, and stays as it was: %j', async (yaml, line, words) => {
    const path = join(dir, 'prompt')
    await cp(new URL('../../hub-cards/examples/sentiment', import.meta.url).pathname, path, { recursive: true })
    const card = `---\n${yaml}\n---\nbody\n`
    await writeFile(join(path, 'README.md'), card)
    const error = (await writeCard(path).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )) as { code: string; message: string; facts: { line: number } }
    expect(error.code).toBe('card-yaml')
    expect(error.message).toMatch(new RegExp(words))
    expect(line ?? error.facts.line).toBe(error.facts.line)
    expect(error.message).toContain(`line ${error.facts.line}`)
    expect(await readFile(join(path, 'README.md'), 'utf8')).toBe(card)
    expect(readCardData(card)).toEqual({})
  })

  it('the command says so and ends with 1', async () => {
    const path = join(dir, 'prompt')
    await writeFile(join(path, 'README.md'), '---\nlicense: mit\ntitle: mine: a prompt\n---\n')
    let said = ''
    vi.spyOn(process.stderr, 'write').mockImplementation((part) => ((said += String(part)), true))
    const code = await main(commandLine(command), [path])
    vi.restoreAllMocks()
    expect([code, said]).toEqual([1, expect.stringContaining('line 3: Nested mappings')])
  })
})

/** Of the processor: others on this machine do not count. */
const ms = (work: () => unknown): number => {
  const began = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(began)
  return (user + system) / 1000
}

describe('time', () => {
  it.each(['\n', ' ', '---\nx', '---\n', '---\r\n\r\n', '\ufeff', '\n---'])(
    'a card of %j, again and again, is split in time by its length',
    (piece) => {
      const all = (length: number) => (): unknown => splitCard(`---\n${piece.repeat(length / piece.length)}`)
      all(1000)()
      expect(ms(all(4_000_000))).toBeLessThan(8000) // was minutes
    },
  )
  it.each([
    '<!-- soft-prompts:a -->\n',
    '<!-- soft-prompts:a -->\n<!-- /soft-prompts:b -->\n',
    '## A\n',
    '[More Information Needed]\n',
    '<!-- ',
  ])('a body of %j, again and again, is merged in time by its length', (piece) => {
    expect(ms(() => render(`---\nlicense: mit\n---\n${piece.repeat(400_000 / piece.length)}`))).toBeLessThan(8000)
  })
})
