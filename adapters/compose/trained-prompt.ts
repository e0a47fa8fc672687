/** The prompt that a training run ends with, and what its manifest says of the run. */
import type { DataFacts, Manifest } from '../../src/prompt/manifest.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import type { TrainRecipe } from '../../src/train/recipe.ts'
import type { TrainState } from '../../src/train/state.ts'
import type { Data, DataSource } from './data.ts'
import type { Base } from './open-base.ts'
import { initTextOf, type PreparedTask } from './training-task.ts'

/** What the manifest says of a run. */
export function manifestOf(
  { options, data, dev, labels }: PreparedTask,
  recipe: TrainRecipe,
  createdBy: string | undefined,
): Omit<Manifest, 'base'> {
  const { target, labelMap } = options
  return {
    ...(options.task === undefined ? {} : { task: options.task }),
    template: options.template ?? '{input}',
    ...(labels ? { labels } : {}),
    // The words are part of what it takes to train it again.
    recipe: { ...recipe, ...(recipe.init === 'text' ? { initText: initTextOf(options) } : {}) },
    data: { ...dataFacts(data, options.data), ...(target === undefined ? {} : { target }), ...(labelMap ? { labelMap } : {}) },
    // Rows that were held out have no name of their own.
    ...(dev ? { dev: options.dev ? dataFacts(dev, options.dev) : { rows: dev.examples.length, sha256: dev.sha256 } } : {}),
    ...(createdBy === undefined ? {} : { createdBy }),
  }
}

function dataFacts({ name, examples, sha256: digest }: Data, source: DataSource): DataFacts {
  const { config, split: part } = typeof source === 'string' ? {} : source
  return {
    name,
    ...(config === undefined ? {} : { config }),
    ...(part === undefined ? {} : { split: part }),
    rows: examples.length,
    sha256: digest,
  }
}

/** The prompt of the best evaluated step, or of the last step where nothing was evaluated. */
export function finishedPrompt(
  state: TrainState,
  base: Base,
  manifest: Manifest,
  { baselines, nearest, failures }: Pick<Manifest, 'baselines' | 'nearest' | 'failures'>,
): SoftPrompt {
  const { width } = base.config
  const { prompt, step, metrics } = state.best ?? { prompt: state.prompt, step: state.step, metrics: undefined }
  return softPrompt(tensor('F32', [prompt.length / width, width], prompt), {
    ...manifest,
    bestStep: step,
    ...(metrics ? { metrics } : {}),
    ...(baselines ? { baselines } : {}),
    ...(nearest ? { nearest } : {}),
    ...(failures ? { failures } : {}),
  })
}
