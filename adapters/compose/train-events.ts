/** What a training tells while it runs, and what comes of it. */
import type { Metric } from '../../src/prompt/manifest.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import type { FinishReason, TrainEvent } from '../../src/train/events.ts'
import type { TrainRecipe } from '../../src/train/recipe.ts'
import type { Digesting } from './open-run.ts'
import type { Whose } from './training-lanes.ts'

export type TrainPromptEvent =
  | (TrainEvent & Whose)
  /** One for each task. */
  | {
      readonly type: 'prepared'
      readonly name?: string
      readonly base: string
      readonly rows: number
      readonly devRows: number
      readonly labels: readonly string[] | undefined
      readonly truncatedInputs: number
      readonly truncatedTargets: number
      readonly recipe: TrainRecipe
      readonly seeds: number
      /** The step the run goes on from. */
      readonly resumedAt: number
      /** About the most that the whole run's process will take. */
      readonly memoryBytes: number
    }
  | ({ readonly type: 'written'; readonly dir: string } & Whose)
  | Digesting

export interface TrainPromptResult {
  readonly reason: FinishReason
  readonly step: number
  /** Absent where the run was stopped before its first step. */
  readonly prompt?: SoftPrompt
  readonly bestStep?: number
  readonly metrics?: readonly Metric[]
  /** Where several prompts trained together: each of them; the fields above are those of the best seed of the first task. */
  readonly runs?: readonly TrainedRun[]
}

export interface TrainedRun extends TrainPromptResult {
  readonly name?: string
  readonly seed: number
  readonly dir: string
}
