/** All of a run's state as plain data: with it and the run's inputs, the next step is the step an uninterrupted run would take. */
import type { Metric } from '../prompt/manifest.ts'
import type { OptimizerState } from './optimizer.ts'
import type { TrainRecipe } from './recipe.ts'

/** What must be the same for a run to go on. Digests are sha256 (hex). */
export interface RunIdentity {
  readonly recipe: TrainRecipe
  /** Of the rows trained on, and of the development rows where there are any. */
  readonly data: string
  readonly dev?: string
  /** Label words that answers are scored by. */
  readonly labels?: readonly string[]
  /** Of the base model's fingerprint and configuration. */
  readonly base: string
  /** Of the base model's weight files; absent in a page. */
  readonly weights?: string
  /** Of the prompt the run began with. */
  readonly start: string
  /** What the digests are of, in words: to say why one differs. */
  readonly from?: RunSources
}

export interface RunSources {
  /** Hub id or name of the base model. */
  readonly model: string
  readonly data: string
  /** Absent where development rows were held out. */
  readonly dev?: string
  readonly template: string
  readonly target: string
  readonly labelMap?: Readonly<Record<string, string>>
  /** The words or the prompt that it begins from. */
  readonly init?: string
}

/** The best evaluation so far and the prompt it was made with. */
export interface Best {
  readonly step: number
  readonly prompt: Float32Array // [P, D]
  readonly metrics: readonly Metric[]
}

export interface TrainState {
  readonly identity: RunIdentity
  /** Steps done. */
  step: number
  readonly prompt: Float32Array // [P, D]
  readonly optimizer: OptimizerState
  best?: Best
  /** The run was stopped while this step's evaluation ran: it comes first when the run goes on. */
  evaluationDue?: true
  /** Evaluations since the best one. */
  stale: number
  /** Loss summed over the target tokens since the last log line. */
  window: { loss: number; tokens: number }
}

/** A copy that later steps do not change. */
export function copyState(state: TrainState): TrainState {
  const { moments, step } = state.optimizer
  return {
    ...state,
    prompt: state.prompt.slice(),
    optimizer: { step, moments: Object.fromEntries(Object.entries(moments).map(([name, values]) => [name, values.slice()])) },
    window: { ...state.window },
  }
}
