/** The command that trains a prompt again, from its manifest: one line for a shell, or nothing where a fact is missing. */
import { hubIdOf, shownBase } from '../prompt/base-name.ts'
import type { DataFacts, Manifest } from '../prompt/manifest.ts'
import { makeRecipe, type TrainRecipe } from '../train/recipe.ts'
import { flat } from './escape.ts'

/** Every recipe field with its flag, said where a value differs from the default; null = said in another way, or says where it ran. */
export const RECIPE_FLAGS: { readonly [K in keyof TrainRecipe]-?: string | null } = {
  length: 'length',
  init: null,
  steps: 'steps',
  batch: 'batch',
  accumulate: 'accumulate',
  learningRate: 'lr',
  optimizer: 'optimizer',
  schedule: 'schedule',
  warmup: 'warmup',
  weightDecay: 'weight-decay',
  stepOffset: 'step-offset',
  clipNorm: 'clip',
  seed: 'seed',
  evalEvery: 'eval-every',
  patience: 'patience',
  maxInputTokens: 'max-input',
  maxTargetTokens: 'max-target',
  buckets: 'buckets',
  holdOut: 'hold-out',
  zLoss: 'z-loss',
  dropout: 'dropout',
  engine: null,
}
/** `initText`, and `together`, the prompts in one batch, stand in the manifest's recipe alone. */
const FLAGS: readonly (readonly [field: string, flag: string | null])[] = [
  ['initText', 'init-text'],
  ['together', null],
  ...Object.entries(RECIPE_FLAGS),
]

/** As one word of a POSIX shell. */
export const quoted = (value: string): string => (/^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`)
/** `--name value`, for a POSIX shell. */
export const flag = (name: string, value: string): string => `--${name}${value.startsWith('-') ? '=' : ' '}${quoted(value)}`

const isHubSplit = (data: DataFacts): boolean => data.split !== undefined

/** Flags of the rows; undefined where they cannot be named again. */
function dataFlags({ data, dev, recipe }: Manifest): string[] | undefined {
  if (data?.name === undefined || data.name === 'standard input' || dev?.name === 'standard input') return undefined
  const { name, config, split, target, labelMap } = data
  const rows = isHubSplit(data)
    ? [flag('dataset', name), ...(config === undefined ? [] : [flag('config', config)]), flag('split', split ?? '')]
    : [flag('data', name)]
  if (dev?.name !== undefined) {
    // The command takes a split of the same dataset, or a file.
    if (isHubSplit(dev) && !(isHubSplit(data) && dev.name === name && dev.config === config)) return undefined
    rows.push(dev.split === undefined ? flag('dev', dev.name) : flag('dev-split', dev.split))
  } else if (dev !== undefined && Number(recipe?.['holdOut'] ?? 0) === 0) return undefined
  if (target !== undefined) rows.push(flag('target', target))
  if (labelMap !== undefined) rows.push(flag('label-map', JSON.stringify(labelMap)))
  return rows
}

/** Names in the command that are files and folders of its author's: whoever runs it elsewhere puts the paths of their own there. */
export function ownNames({ base, data, dev }: Manifest): string[] {
  const files = [data, dev].flatMap((facts) => (facts?.name === undefined || isHubSplit(facts) ? [] : [facts.name]))
  return [...new Set([...(hubIdOf(base.id) === undefined ? [shownBase(base.id)] : []), ...files])]
}

/** `soft-prompts train …`, which gives the same prompt on the same engine and rows (near it, where several were trained together); undefined where it would not. */
export function trainCommand(manifest: Manifest): string | undefined {
  const { recipe, template, labels, task } = manifest
  const base = { ...manifest.base, id: shownBase(manifest.base.id) }
  const rows = dataFlags(manifest)
  if (recipe === undefined || rows === undefined || base.id.trim() === '' || recipe.init === 'prompt') return undefined
  const usual: Readonly<Record<string, unknown>> = { ...makeRecipe() }
  const known = new Set(FLAGS.map(([field]) => field))
  // A choice that this command has no flag for, as of a newer version, would be lost.
  const lost = Object.keys(recipe).some((field) => !known.has(field) && recipe[field] !== usual[field])
  if (lost) return undefined
  const said = FLAGS.flatMap(([field, name]) => {
    const value = recipe[field]
    if (name === null || value === undefined || value === usual[field]) return []
    // It held out none where it had development rows, and the command refuses both.
    if (field === 'holdOut' && manifest.dev?.name !== undefined) return []
    return [value === true ? `--${name}` : flag(name, String(value))]
  })
  const words = [
    'soft-prompts train',
    flag('model', base.id),
    ...(base.revision === undefined ? [] : [flag('revision', base.revision)]),
    ...rows,
    ...(template === undefined ? [] : [flag('template', template)]),
    ...(labels === undefined ? ['--generate'] : labels.map((label) => flag('labels', label))),
    ...(task === undefined ? [] : [flag('task', task)]),
    flag('init', recipe.init),
    ...said,
    '--out my-prompt',
  ]
  const command = words.join(' ')
  // What is shown has to be what was run: text that is cut or cleaned for a card would be another.
  const shown = [base.id, base.revision, template, task, ...(labels ?? []), ...rows].every(
    (value) => value === undefined || flat(value) === value,
  )
  return shown && command.length < 4000 ? words.join(' \\\n  ') : undefined
}
