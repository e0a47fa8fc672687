/** The model card of a prompt, from facts. */
import { DEFAULT_TEMPLATE, parseTemplate } from '../data/template.ts'
import { hubIdOf, isHubId } from '../prompt/base-name.ts'
import type { BaseModel, Baseline, Fingerprint, Metric } from '../prompt/manifest.ts'
import { markedSections, mergeBody, renderTemplate } from './body.ts'
import { lossChart } from './chart.ts'
import { code, flat, hubLink, isRepoId, literal, text } from './escape.ts'
import { shownManifest, type CardFacts } from './facts.ts'
import { cell, shownDrift, shownMetric } from './figures.ts'
import { splitCard } from './front-matter.ts'
import { mergeFrontMatter, type EarlierCard } from './merge.ts'
import { ownNames, trainCommand } from './reproduce.ts'
import type { TrainRecipe } from '../train/recipe.ts'

/** Every recipe field with its name on the card, in the order a reader asks for them. */
const RECIPE: { readonly [K in keyof TrainRecipe]-?: string } & { readonly initText: string } = {
  length: 'virtual tokens',
  init: 'initialisation',
  initText: 'initial words',
  steps: 'steps',
  batch: 'batch size',
  accumulate: 'batches an update',
  optimizer: 'optimizer',
  learningRate: 'learning rate',
  schedule: 'schedule',
  warmup: 'warm-up steps',
  weightDecay: 'weight decay',
  stepOffset: 'step offset',
  clipNorm: 'largest gradient norm',
  zLoss: 'z-loss',
  dropout: 'dropout',
  buckets: 'rows of like length together',
  seed: 'seed',
  maxInputTokens: 'input tokens at most',
  maxTargetTokens: 'target tokens at most',
  evalEvery: 'evaluated every (steps)',
  patience: 'evaluations without a better one before the end',
  holdOut: 'rows held out',
  engine: 'engine',
}
/** Fields that are off at 0 or false, and say nothing then. */
const OFF: ReadonlySet<string> = new Set(['warmup', 'clipNorm', 'zLoss', 'dropout', 'buckets', 'patience', 'holdOut'])

/** Whether a field is told: what is off and one batch an update are what everybody expects. */
const isTold = (key: string, value: unknown): boolean =>
  value !== undefined && !(OFF.has(key) && !value) && !(key === 'accumulate' && value === 1)

/** The figure of the same name on the same rows. */
const beside = (metric: Metric, baselines: readonly Baseline[], of: Baseline['of']): Baseline | undefined =>
  baselines.find((other) => other.of === of && other.name === metric.name && other.split === metric.split && other.n === metric.n)

/** Virtual tokens whose nearest pieces are listed; more say nothing new. */
const MAX_NEAREST_ROWS = 20
const MAX_FAILURES = 10
const MAX_METRICS = 50
const MAX_CHECKS = 50
const MAX_LABELS = 50

const cellValue = (metric: Metric | undefined): string => (metric === undefined ? '' : shownMetric(metric).value)

/** What tells the base from others of its shape, for people. */
function shownFingerprint({ vocabSize, width, encoderLayers, decoderLayers, tokenizer }: Fingerprint): string {
  const layers =
    encoderLayers === undefined || decoderLayers === undefined ? '' : `, ${encoderLayers} encoder and ${decoderLayers} decoder layers`
  return `V = ${vocabSize}, D = ${width}${layers}${tokenizer === undefined ? '' : `, tokenizer ${code(tokenizer.slice(0, 16))}`}`
}

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`

/** Whether a base is named by a Hub id. A name without an owner is a folder's, unless it has a commit or is one of T5's old ids. */
const isOnHub = ({ id, revision }: BaseModel): boolean => hubIdOf(id) !== undefined || (revision !== undefined && isRepoId(id))

/** Of the repository, else of the folder or bundle. */
const nameOf = ({ repo, name }: CardFacts): string | undefined => repo?.split('/')[1] ?? name?.replace(/\.(?:tar\.gz|tgz)$/, '')

export function frontMatter(facts: CardFacts): Record<string, unknown> {
  const { base, labels, data, metrics = [] } = shownManifest(facts.manifest)
  const dataset = data?.name !== undefined && isHubId(data.name) ? data.name : undefined
  const task = labels && labels.length > 0 ? 'text-classification' : undefined
  const results = metrics.map(({ name, value, split, n }) => ({ type: flat(name), value, name: flat(`${name} on ${split} (n = ${n})`) }))
  const index =
    task === undefined || results.length === 0
      ? undefined
      : [
          {
            name: flat(nameOf(facts) ?? 'soft-prompt'),
            results: [
              {
                task: { type: task },
                dataset: {
                  type: dataset ?? 'custom',
                  name: data?.name === undefined ? `rows with sha256 ${data?.sha256.slice(0, 12) ?? 'not recorded'}` : flat(data.name),
                },
                metrics: results,
              },
            ],
          },
        ]
  return {
    license: facts.license,
    language: facts.language,
    library_name: 'peft',
    base_model: isOnHub(base) ? base.id : undefined,
    base_model_relation: isOnHub(base) ? 'adapter' : undefined,
    pipeline_tag: task,
    tags: ['soft-prompts', 'prompt-tuning', 'transformers.js'],
    datasets: dataset === undefined ? undefined : [dataset],
    metrics: metrics.length === 0 ? undefined : [...new Set(metrics.map(({ name }) => flat(name)))],
    'model-index': index,
  }
}

interface Example {
  /** What a caller of `pipe` passes: a text, or the fields where there are several. */
  readonly call: string
  /** What the model reads. */
  readonly text: string
}

const words = (field: string): string => (field === 'input' || field === 'text' ? 'your text' : `your ${field}`)

/** A call with each field named where its text goes. */
function exampleOf(template: string | undefined): Example {
  try {
    const { fields, render } = parseTemplate(template ?? DEFAULT_TEMPLATE)
    const filled = Object.fromEntries(fields.map((field) => [field, words(field)]))
    const pairs = fields.map((field) => `${literal(field)}: ${literal(words(field))}`)
    return {
      // A template without a field takes none.
      call: fields.length === 1 ? literal(words(fields[0] as string)) : pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`,
      text: render({ fields: filled, where: '' }),
    }
  } catch {
    // Not a template we can read: the text goes in as it is.
    return { call: literal(words('input')), text: words('input') }
  }
}

/** What the template may use; every string in it is escaped for its place. */
export function templateValues(facts: CardFacts): Record<string, unknown> {
  const { repo, length, width, log } = facts
  const manifest = shownManifest(facts.manifest)
  const { base, labels, data, recipe, metrics = [], baselines = [], nearest = [], failures = [], checks = [], generation } = manifest
  const best = metrics[0]
  const example = exampleOf(manifest.template)
  const maxTokens = Number(generation?.['max_new_tokens'] ?? generation?.['maxNewTokens'])
  const isPercent = best === undefined ? undefined : shownMetric(best)
  const place = repo ?? (facts.name === undefined ? '.' : `./${facts.name}`)
  const named = base.id.trim() !== ''
  // A plain PEFT adapter may not name its base.
  const baseShown = base.id.trim() === '' ? `T5 of width ${width}` : hubLink(base.id, 'model')
  return {
    title: text(nameOf(facts) ?? manifest.task ?? `Soft prompt for ${base.id.trim() || `a T5 of width ${width}`}`),
    task: manifest.task === undefined ? '' : text(manifest.task),
    task_stop: /[.?!…]\s*$/.test(manifest.task ?? '') ? '' : '.',
    base: baseShown,
    named,
    base_revision: base.revision === undefined ? '' : code(base.revision),
    // A page cannot make them itself.
    onnx: (base.onnxId ?? facts.onnxId) !== undefined,
    length,
    width,
    parameters: (length * width).toLocaleString('en'),
    size: facts.sizeBytes === undefined ? '' : `${(facts.sizeBytes / 1024).toFixed(1)} KB`,
    result:
      best === undefined || isPercent === undefined
        ? ''
        : `${isPercent.value} ${text(best.name)} on ${text(best.split)} (${plural(best.n, 'row')}${isPercent.interval === '' ? '' : `, 95 % interval ${isPercent.interval}`})`,
    bare: best === undefined ? '' : cellValue(beside(best, baselines, 'untuned')),
    metrics: metrics.slice(0, MAX_METRICS).map((metric) => ({
      name: code(metric.name),
      split: code(metric.split),
      n: metric.n,
      by: metric.by === 'labels' ? 'label scores' : metric.by === 'generation' ? 'generated text' : '',
      value: cell(metric),
      untuned: cell(beside(metric, baselines, 'untuned')),
      majority: cell(beside(metric, baselines, 'majority')),
    })),
    has_intervals: metrics.some(({ interval }) => interval !== undefined),
    has_untuned: metrics.some((metric) => beside(metric, baselines, 'untuned') !== undefined),
    has_majority: metrics.some((metric) => beside(metric, baselines, 'majority') !== undefined),
    nearest: nearest.slice(0, MAX_NEAREST_ROWS).map((pieces, index) => ({
      token: index + 1,
      pieces: pieces
        .slice(0, 5)
        .map((piece) => code(piece.slice(0, 60)))
        .join(', '),
    })),
    nearest_of: nearest.length,
    failures: failures.slice(0, MAX_FAILURES).map(({ input, expected, answered }) => ({
      input: code(input.slice(0, 300)),
      expected: code(expected.slice(0, 100)),
      answered: code(answered.slice(0, 100)),
    })),
    checks: checks.slice(0, MAX_CHECKS).map(({ file, answer, drift, outputDrift }) => ({
      file: code(file),
      answer: answer === 'same' ? 'the same weights' : 'rounded or quantised',
      drift: shownDrift(drift),
      output: outputDrift === undefined ? '' : shownDrift(outputDrift),
    })),
    checked_texts: checks.find(({ texts }) => texts !== undefined)?.texts ?? '',
    command: trainCommand(manifest) ?? '',
    own_names: ownNames(manifest).map(code).join(', '),
    together: manifest.recipe?.['together'] !== undefined,
    prompt_name: literal(nameOf(facts) ?? 'prompt'),
    best_step: manifest.bestStep ?? '',
    labels:
      (labels ?? [])
        .slice(0, MAX_LABELS)
        .map((label) => code(label))
        .join(', ') + ((labels?.length ?? 0) > MAX_LABELS ? ` and ${(labels?.length ?? 0) - MAX_LABELS} more` : ''),
    classifies: labels !== undefined && labels.length > 0,
    template: manifest.template === undefined ? '' : code(manifest.template),
    prompt_ref: literal(place),
    adapter_ref: literal(`${place}/adapter_model.safetensors`),
    // A base that is no Hub id was a folder: the same has to be given again.
    base_option: named && isOnHub(base) ? '' : `, { base: ${literal(named ? `./${base.id}` : './t5')} }`,
    base_is_folder: named && !isOnHub(base),
    repo_ref: repo === undefined ? '' : literal(repo),
    base_ref: literal(base.id),
    input: example.call,
    python_input: literal(example.text),
    max_tokens: Number.isSafeInteger(maxTokens) ? maxTokens : 20,
    data_name: data?.name === undefined ? '' : hubLink(data.name, 'dataset'),
    data_rows: data?.rows.toLocaleString('en') ?? '',
    data_sha256: data === undefined ? '' : code(data.sha256),
    recipe: Object.entries(RECIPE).flatMap(([key, label]) => {
      const value = recipe?.[key]
      if (!isTold(key, value)) return []
      return [{ label, value: value === true ? 'yes' : typeof value === 'number' ? String(value) : code(String(value)) }]
    }),
    curve: log !== undefined && lossChart(log) !== undefined,
    fingerprint: base.fingerprint === undefined ? '' : shownFingerprint(base.fingerprint),
    created_by: manifest.createdBy === undefined ? '' : text(manifest.createdBy),
  }
}

/** What a card of ours, written before, said of itself. */
function earlierCard(body: string): EarlierCard {
  const sections = markedSections(body)
  const ids = [...sections.values()].flatMap((section) =>
    [...section.matchAll(/\]\(https:\/\/huggingface\.co\/(?:datasets\/)?([\w./-]{1,200})\)/g)].map((match) => match[1] ?? ''),
  )
  return { isOurs: sections.size > 0, ids: new Set(ids), classified: /^The prompt answers with one of:/m.test(sections.get('io') ?? '') }
}

/**
 * Puts what a card says into one that is there: front matter field by field, the body section by section. What a person wrote stays.
 * @throws {FormatError} `card-yaml` with the line, where the front matter is not sound: it would be lost
 */
export function mergeCard(existing: string, fields: Readonly<Record<string, unknown>>, made: string): string {
  const hasReturns = existing.includes('\r\n')
  const { yaml, body, line } = splitCard(existing.replaceAll('\r\n', '\n'))
  const head = mergeFrontMatter(yaml, fields, earlierCard(body), line)
  const card = `---\n${head.trimEnd()}\n---\n\n${mergeBody(made, body).trimStart()}`
  return hasReturns ? card.replaceAll('\n', '\r\n') : card
}

/**
 * Renders a card. What a person wrote in `existing`, in the body or the front matter, stays.
 * @param template Markdown with Jinja and `<!-- soft-prompts:NAME -->` sections (hub-cards/prompt.ts)
 * @throws {FormatError} `card-template` | `card-yaml` with the line, where the front matter of `existing` is not sound
 */
export const renderCard = (facts: CardFacts, template: string, existing = ''): string =>
  mergeCard(existing, frontMatter(facts), renderTemplate(template, templateValues(facts)))

/** Whether a card, or a part of it, was made by renderCard: only then may a command rewrite it unasked. */
export const isGeneratedCard = (card: string): boolean => /^<!-- soft-prompts:[a-z-]+ -->\r?$/m.test(card)
