/** What the compiler must refuse and know of a training's options, in Node and in a page; compiled by types.test.ts and with all the rest. */
import type { BrowserTrainOptions } from '../../adapters/compose/browser-train.ts'
import type { TrainPromptOptions } from '../../adapters/compose/train.ts'
import { command, type Values } from '../../scripts/cli/command.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const holds = <T extends true>(): T | undefined => undefined

type Recipe = NonNullable<TrainPromptOptions['recipe']>
holds<Equal<Recipe, NonNullable<BrowserTrainOptions['recipe']>>>()
holds<Equal<Recipe['schedule'], 'constant' | 'linear' | 'cosine' | undefined>>()
holds<Equal<Recipe['optimizer'], 'adafactor' | 'adamw' | 'sgd' | undefined>>()
holds<Equal<Recipe['init'], 'labels' | 'vocab' | 'random' | 'text' | 'prompt' | undefined>>()
holds<Equal<Recipe['steps'], number | undefined>>()
holds<Equal<Recipe['buckets'], boolean | undefined>>()

export const options: TrainPromptOptions = {
  model: 'm',
  out: 'o',
  data: 'rows.jsonl',
  recipe: { steps: 3, schedule: 'linear', optimizer: 'adamw', init: 'vocab', buckets: true },
}
export const misspelt: TrainPromptOptions = {
  ...options,
  // @ts-expect-error no such choice
  recipe: { stepz: 3 },
}
export const text: TrainPromptOptions = {
  ...options,
  // @ts-expect-error a number
  recipe: { steps: '3' },
}
export const schedule: TrainPromptOptions = {
  ...options,
  // @ts-expect-error none of the three
  recipe: { schedule: 'lineal' },
}
export const engine: TrainPromptOptions = {
  ...options,
  // @ts-expect-error chosen beside the recipe
  recipe: { engine: 'onnxruntime' },
}
export const page: Pick<BrowserTrainOptions, 'recipe'> = {
  // @ts-expect-error no such choice
  recipe: { learning_rate: 0.3 },
}
// @ts-expect-error no name of a choice
export const name: keyof Recipe = 'bogus'

const FLAGS = {
  how: { kind: 'string', help: '', choices: ['vote', 'mean'] },
  some: { kind: 'strings', help: '', choices: ['a', 'b'] },
  count: { kind: 'number', help: '', default: 1 },
  word: { kind: 'string', help: '', required: true },
} as const
type Given = Values<typeof FLAGS>
holds<Equal<Given['how'], 'vote' | 'mean' | undefined>>()
holds<Equal<Given['some'], ('a' | 'b')[] | undefined>>()
holds<Equal<Given['count'], number>>()
holds<Equal<Given['word'], string>>()

const run = async (): Promise<void> => {}
command({ name: 'whole', summary: '', flags: FLAGS, groups: { One: ['how', 'some'], Two: ['count', 'word'] }, run })
// @ts-expect-error `word` has no group
command({ name: 'short', summary: '', flags: FLAGS, groups: { One: ['how', 'some'], Two: ['count'] }, run })
// @ts-expect-error no such flag
command({ name: 'foreign', summary: '', flags: FLAGS, groups: { One: ['how', 'some', 'count', 'word', 'other'] }, run })
