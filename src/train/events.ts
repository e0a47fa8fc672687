/** What a run tells while it trains. Durations are milliseconds. */
import type { Metric } from '../prompt/manifest.ts'
import type { Advice } from './advice.ts'
import type { TrainState } from './state.ts'

export type FinishReason = 'steps' | 'patience' | 'time' | 'aborted'

/** One line of training_log.jsonl. No times in it: the same run writes the same bytes. */
export type LogLine =
  | { readonly step: number; readonly loss: number; readonly learning_rate: number; readonly gradient_norm: number }
  | { readonly step: number; readonly metrics: readonly Metric[] }

export type TrainEvent =
  /** After the first gradient was timed and before the prompt moves. */
  | {
      readonly type: 'started'
      readonly step: number
      readonly steps: number
      readonly stepMs: number
      /** Evaluations still to come. */
      readonly evaluations: number
      /** Of all that is to come, evaluations too. */
      readonly estimateMs: number
    }
  | {
      readonly type: 'step'
      readonly step: number
      readonly steps: number
      /** Mean per target token of this step's batch, before the update. */
      readonly loss: number
      readonly gradientNorm: number
      readonly examplesPerSecond: number
      readonly leftMs: number
    }
  | { readonly type: 'log'; readonly line: LogLine }
  | {
      readonly type: 'evaluated'
      readonly step: number
      readonly metrics: readonly Metric[]
      readonly best: boolean
      readonly leftMs: number
    }
  /** `state` is a copy to be stored; the run goes on once the consumer asks for the next event. */
  | { readonly type: 'checkpoint'; readonly state: TrainState }
  | ({ readonly type: 'warning'; readonly step: number } & Advice)
  | { readonly type: 'finished'; readonly reason: FinishReason; readonly state: TrainState }
