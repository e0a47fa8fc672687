/** Cards: every claim from facts, hand-written parts kept, strings of strangers harmless. */
import { ALL_MODEL_LIBRARY_KEYS, PIPELINE_TYPES } from '@huggingface/tasks'
import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { promptCard } from '../../hub-cards/prompt.ts'
import { isGeneratedCard, renderCard } from '../../src/card/card.ts'
import { cardHtml } from '../../src/card/markdown.ts'
import { lossChart } from '../../src/card/chart.ts'
import { code, flat, text } from '../../src/card/escape.ts'
import { parseLog, type CardFacts } from '../../src/card/facts.ts'
import { checkCardData, readCardData, splitCard } from '../../src/card/front-matter.ts'
import type { Manifest } from '../../src/prompt/manifest.ts'

const manifest: Manifest = {
  base: { id: 'google-t5/t5-small', revision: 'df1b051c49625cf57a3d0d8d3863ed4d13564fe4' },
  task: 'Sentiment of film reviews',
  template: 'sst2 sentence: {sentence}',
  labels: ['negative', 'positive'],
  recipe: {
    length: 100,
    init: 'labels',
    steps: 3000,
    batch: 16,
    learningRate: 0.3,
    optimizer: 'adafactor',
    weightDecay: 1e-5,
    stepOffset: 1e6,
    seed: 7,
    maxInputTokens: 128,
    maxTargetTokens: 8,
    evalEvery: 500,
  },
  data: {
    name: 'stanfordnlp/sst2',
    split: 'train',
    target: 'label',
    labelMap: { '0': 'negative', '1': 'positive' },
    rows: 67349,
    sha256: 'ab'.repeat(32),
  },
  dev: { name: 'stanfordnlp/sst2', split: 'validation', rows: 872, sha256: 'cd'.repeat(32) },
  bestStep: 2500,
  metrics: [{ name: 'accuracy', split: 'validation', value: 0.8853, n: 872, interval: [0.8623, 0.9049], by: 'labels' }],
  baselines: [
    { name: 'accuracy', split: 'validation', value: 0.514, n: 872, interval: [0.481, 0.547], by: 'labels', of: 'untuned' },
    { name: 'accuracy', split: 'validation', value: 0.5092, n: 872, interval: [0.476, 0.542], by: 'labels', of: 'majority' },
    // Of other rows: never set beside.
    { name: 'accuracy', split: 'test', value: 0.99, n: 1821, of: 'untuned' },
  ],
  nearest: [
    ['▁positive', '▁good'],
    ['▁negative', '|'],
  ],
  failures: [{ input: 'sst2 sentence: not half bad', expected: 'positive', answered: 'negative' }],
  createdBy: 'soft-prompts 0.1.0',
}
const log = parseLog(
  `${Array.from({ length: 50 }, (_, step) => JSON.stringify({ step, loss: 3 / (step + 1), learning_rate: 0.3, gradient_norm: 1 })).join('\n')}
{"step":25,"metrics":[{"name":"accuracy","split":"validation","value":0.8,"n":872}]}
{"step":49,"metrics":[{"name":"accuracy","split":"validation","value":0.8853,"n":872}]}
{"step":50,"lo`,
)
const facts: CardFacts = { manifest, length: 100, width: 512, log, repo: 'me/t5-small-sst2', onnxId: 'Xenova/t5-small', sizeBytes: 204_920 }

const withTemplate = (template: string): string => renderCard({ ...facts, manifest: { ...manifest, template } }, promptCard)

describe('renderCard', () => {
  it('says what is known, with its figures', () => {
    const card = renderCard(facts, promptCard)
    expect(card).toMatchSnapshot()
    expect(card).toContain('**88.5 % accuracy on validation (872 rows, 95 % interval 86.2 % to 90.5 %); without the prompt 51.4 %.**')
    expect(card).toContain(
      '| `accuracy` | `validation` | 88.5 % (86.2 % to 90.5 %) | 51.4 % (48.1 % to 54.7 %) | 50.9 % (47.6 % to 54.2 %) | 872 |',
    )
    expect(card).not.toContain('99')
    expect(isGeneratedCard(card)).toBe(true)
  })

  it('says nothing that is not known, and holds no placeholder', () => {
    const card = renderCard({ manifest: { base: { id: './t5' } }, length: 5, width: 16 }, promptCard)
    expect(card).toMatchSnapshot()
    expect(card).not.toMatch(/undefined|null|NaN|\[object|More Information|TODO|OWNER|## Results|## Training/)
    expect(readCardData(card)).not.toHaveProperty('base_model') // a folder is no Hub id
  })

  it('names a base as others can find it: never by a path, T5’s old names with their owner', () => {
    const recipe = { ...(manifest.recipe as NonNullable<Manifest['recipe']>) }
    for (const id of ['/kaggle/working/flan-t5-small', 'C:\\kaggle\\flan-t5-small', '~/kaggle/flan-t5-small', './flan-t5-small']) {
      const card = renderCard({ ...facts, manifest: { ...manifest, recipe, base: { id, onnxId: '/kaggle/onnx' } } }, promptCard)
      expect(card).not.toContain('kaggle')
      expect(card).toContain('{ base: "./flan-t5-small" }')
      expect(readCardData(card)).not.toHaveProperty('base_model')
    }
    const old = renderCard({ ...facts, manifest: { ...manifest, recipe, base: { id: 't5-small' } } }, promptCard)
    expect(readCardData(old)).toMatchObject({ base_model: 'google-t5/t5-small', base_model_relation: 'adapter' })
    expect(old).toContain('from_pretrained("google-t5/t5-small")')
    expect(old).not.toMatch(/["` ]t5-small["`]/)
  })

  it('front matter is what the Hub indexes', () => {
    const data = readCardData(renderCard(facts, promptCard), true)
    expect(checkCardData(data)).toEqual([])
    expect(PIPELINE_TYPES).toContain(data['pipeline_tag'])
    expect(ALL_MODEL_LIBRARY_KEYS).toContain(data['library_name'])
    expect(data).toMatchObject({
      base_model: 'google-t5/t5-small',
      base_model_relation: 'adapter',
      datasets: ['stanfordnlp/sst2'],
      metrics: ['accuracy'],
    })
    expect(data['model-index']).toEqual([
      {
        name: 't5-small-sst2',
        results: [
          {
            task: { type: 'text-classification' },
            dataset: { type: 'stanfordnlp/sst2', name: 'stanfordnlp/sst2' },
            metrics: [{ type: 'accuracy', value: 0.8853, name: 'accuracy on validation (n = 872)' }],
          },
        ],
      },
    ])
  })

  it('the JavaScript snippet names the fields of a template that has several', () => {
    expect(withTemplate('{premise} {hypothesis} {premise}')).toContain(
      'pipe.classify({ "premise": "your premise", "hypothesis": "your hypothesis" })',
    )
    expect(withTemplate('{{x}} {text}')).toContain('pipe.classify("your text")')
    expect(withTemplate('{{x}} {text}')).toContain('tokenizer("{x} your text", return_tensors')
    expect(withTemplate('{lone')).toContain('pipe.classify("your text")')
  })

  it('has a snippet for a page only where ONNX files of the base are known', () => {
    const { onnxId: _, ...unknown } = facts
    expect(renderCard(facts, promptCard)).toContain("{ device: 'wasm' }")
    expect(renderCard(unknown, promptCard)).not.toContain('In a web page')
    const named = { ...manifest, base: { ...manifest.base, onnxId: 'me/onnx' } }
    expect(renderCard({ ...unknown, manifest: named }, promptCard)).toContain('In a web page')
  })

  it('shows results before code, and the code of one language; the others are folded', () => {
    const { body } = splitCard(renderCard(facts, promptCard))
    expect(body.indexOf('**88.5 %')).toBeLessThan(body.indexOf('## Results'))
    expect(body.indexOf('## Results')).toBeLessThan(body.indexOf('```'))
    const open = body.replace(/^<details>[\s\S]*?^<\/details>$/gm, '')
    expect(open.match(/^```\w+$/gm)).toEqual(['```js', '```sh', '```bibtex'])
    expect(body.match(/^<details><summary>.*$/gm)).toHaveLength(4)
    const page = cardHtml(body)
    expect([page.match(/<details>/g)?.length, page.match(/<\/details>/g)?.length]).toEqual([4, 4])
    expect(page).toContain('<details><summary>In Python, with PEFT</summary>')
  })

  it('written before sections had this order, it gets it, unless a person wrote between them', () => {
    const card = renderCard(facts, promptCard)
    const block = (name: string): string =>
      new RegExp(`<!-- soft-prompts:${name} -->[^]*<!-- /soft-prompts:${name} -->\\n`).exec(card)?.[0] ?? ''
    const [results, use] = [block('results'), block('use')]
    const before = card.replace(`${results}\n${use}`, `${use}\n${results}`)
    expect(before).not.toBe(card)
    expect(renderCard(facts, promptCard, before)).toBe(card)
    const between = before.replace(use, `${use}\nMine.\n`)
    expect(renderCard(facts, promptCard, between)).toBe(between)
  })

  it('rendering again changes nothing', () => {
    const card = renderCard(facts, promptCard)
    expect(renderCard(facts, promptCard, card)).toBe(card)
  })

  it('keeps what a person wrote: sections, and front matter with its comments', () => {
    const card = renderCard(facts, promptCard)
    const edited = card
      .replace('---\n', '---\n# ours, keep\nlicense: mit # asked the lawyers\nco2: {emissions: 12}\n')
      .replace('  - soft-prompts\n', '  - soft-prompts\n  - film\n')
      .replace('<!-- soft-prompts:limits -->', '## Our findings\n\nIt dislikes *irony*.\n\n<!-- soft-prompts:limits -->')
    const better = { ...manifest, metrics: [{ name: 'accuracy', split: 'validation', value: 0.9, n: 872 }] }
    const again = renderCard({ ...facts, manifest: better }, promptCard, `${edited}\n## Thanks\n\nTo all.\n`)
    for (const kept of [
      '# ours, keep',
      'license: mit # asked the lawyers',
      'co2: ',
      '## Our findings\n\nIt dislikes *irony*.',
      '## Thanks\n\nTo all.',
    ]) {
      expect(again).toContain(kept)
    }
    expect(readCardData(again)['tags']).toEqual(['soft-prompts', 'film', 'prompt-tuning', 'transformers.js'])
    expect(again).toContain('90.0 %')
    expect(again).not.toContain('88.5 %')
    expect(again.indexOf('## Our findings')).toBeLessThan(again.indexOf('## Limits'))
  })

  it('keeps a hand-made body without marks, but not the blanks of an unfilled template', () => {
    const peft =
      '---\nlibrary_name: peft\n---\n# Model Card for Model ID\n\n<!-- Provide a quick summary -->\n\n## Bias\n\n[More Information Needed]\n\n## My notes\n\nGood.\n'
    const card = renderCard(facts, promptCard, peft)
    expect(card).toContain('## My notes\n\nGood.')
    expect(card).not.toMatch(/More Information|Model ID/)
  })
})

const hostile = (attack: string): CardFacts => ({
  manifest: {
    base: { id: attack, revision: attack, onnxId: attack },
    task: attack,
    template: attack,
    labels: [attack],
    recipe: { ...manifest.recipe, engine: attack } as NonNullable<Manifest['recipe']>,
    data: { name: attack, split: attack, config: attack, target: attack, labelMap: { [attack]: attack }, rows: 3, sha256: attack },
    dev: { name: attack, split: attack, config: attack, rows: 3, sha256: attack },
    metrics: [{ name: attack, split: attack, value: 0.5, n: 3 }],
    baselines: [{ name: attack, split: attack, value: 0.5, n: 3, of: 'untuned' }],
    nearest: [[attack, attack]],
    failures: [{ input: attack, expected: attack, answered: attack }],
    createdBy: attack,
  },
  length: 5,
  width: 16,
  log: { losses: log.losses, evaluations: [{ step: 1, metrics: [{ name: attack, split: 'x', value: 1, n: 1 }] }] },
})
// Fenced and inline code shows everything as it is; what is left is Markdown that is obeyed.
const obeyed = (body: string): string => body.replace(/^```[\s\S]*?^```$/gm, '').replace(/(?<![\\`])(`+)(?!`)[^\n]*?(?<!`)\1(?!`)/g, '')

const PAGE_TAGS = new Set('h1 h2 p strong em code pre ul li a img table thead tbody tr th td div br details summary'.split(' '))

describe('hostile facts', () => {
  const attacks = [
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '[click](javascript:alert(1))',
    '![x](https://evil.example/track.png)',
    'a\n---\nlicense: mit\n---\n# Owned',
    '`` ` ```` <b>',
    '```\n</code><script>1</script>',
    '| a | b |\n|---|---|',
    '<!-- /soft-prompts:summary -->',
    '\n<!-- /soft-prompts:summary -->\n<!-- soft-prompts:evil -->\n',
    '{{ 7 * 7 }}{% for x in range(9999999) %}x{% endfor %}',
    '"); process.exit(1); ("',
    '\u202Etxt.exe',
    'https://evil.example www.evil.example me@evil.example',
    '# heading',
    '1. list',
    '- list',
    '*a* _b_ ~~c~~ $x$',
    'x'.repeat(1_000_000),
  ]
  it.each(attacks.map((attack) => [attack.slice(0, 40), attack] as const))('%j is shown, not obeyed', (_, attack) => {
    const card = renderCard(hostile(attack), promptCard)
    const { body } = splitCard(card)
    expect(card.length).toBeLessThan(40_000)
    expect(checkCardData(readCardData(card, true))).toEqual([])
    expect(readCardData(card)).not.toHaveProperty('license')
    const rest = obeyed(body).replace(/^(?:<!-- \/?soft-prompts:[a-z]+ -->|<details><summary>[\w ,]+<\/summary>|<\/details>)$/gm, '')
    expect(rest).not.toMatch(/<[a-z!/]/i)
    expect(rest).not.toContain('evil.example/track.png)')
    expect(rest.match(/(?<!\\)\]\([^)]*\)/g)).toEqual(['](https://www.npmjs.com/package/soft-prompts)', '](loss.svg)'])
    expect(body.match(/^#+ .+$/gm)?.map((line) => line.replace(/^# .+/, '# title'))).toEqual([
      '# title',
      ...['Results', 'How to use', 'Input and output', 'Training'].map((title) => `## ${title}`),
      // A text that a card cannot show whole is no command to repeat.
      ...(attack === flat(attack) ? ['## Train it again'] : []),
      ...['Nearest words', 'Where it fails', 'Limits', 'Citation'].map((title) => `## ${title}`),
    ])
    // A second rendering finds its own marks and no others.
    expect(renderCard(hostile(attack), promptCard, card)).toBe(card)
    // As a page: no tag but those Markdown makes, no address but ours.
    const page = cardHtml(card, { address: (target) => target })
    const tags = new Set([...page.matchAll(/<\/?([a-z0-9]+)/gi)].map((match) => match[1]))
    expect([...tags].filter((tag) => !PAGE_TAGS.has(tag ?? ''))).toEqual([])
    expect([...page.matchAll(/(?:href|src)="([^"]*)"/g)].map((match) => match[1])).toEqual([
      'https://www.npmjs.com/package/soft-prompts',
      'loss.svg',
    ])
    expect(page).not.toMatch(/<[^>]*\son\w+=/i)
    const svg = lossChart(hostile(attack).log!)
    expect(svg).not.toMatch(/<script|=[^"]|javascript:/i)
  })

  it('any string keeps its line and its place', () => {
    assert(
      property(string({ unit: 'binary', maxLength: 200 }), (value) => {
        expect(text(value)).not.toMatch(/[\n\r<>]/)
        expect(code(value)).not.toMatch(/[\n\r]/)
        const inner = code(value)
        const fence = /^`+/.exec(inner)?.[0] ?? ''
        expect(inner.slice(fence.length, -fence.length)).not.toMatch(new RegExp(`(?<!\`)${fence}(?!\`)`))
      }),
    )
  })
})

/** What stands on the axis of the metric. */
const ticks = (name: string, value: number): string[] =>
  [
    ...(lossChart({ losses: log.losses, evaluations: [{ step: 1, metrics: [{ name, split: 'dev', value, n: 9 }] }] }) ?? '').matchAll(
      /devText" x="592" y="[\d.]+">([^<]*)</g,
    ),
  ].map((match) => match[1] ?? '')

describe('lossChart', () => {
  it('draws both curves, small and without a script', () => {
    const svg = lossChart(log) ?? ''
    expect(svg).toMatchSnapshot()
    expect(svg.match(/<path/g)).toHaveLength(2)
    const long =
      lossChart({ losses: Array.from({ length: 100_000 }, (_, step) => ({ step, loss: 1 + Math.sin(step) })), evaluations: [] }) ?? ''
    expect(long.length).toBeLessThan(12_000)
  })

  it('has few figures on its right, apart from each other, as per cent where they are', () => {
    expect(ticks('accuracy', 0.8)).toEqual(['0 %', '50 %', '100 %'])
    expect(ticks('bleu', 31.5)).toEqual(['0', '20'])
  })

  it('is absent where there is no curve', () => {
    expect(lossChart(parseLog('{"step":1,"loss":2}\nnot json'))).toBeUndefined()
  })
})
