/** How fast a run goes, and what is left of it: steps and evaluations are timed apart, as one evaluation may take as long as many steps. */
import type { TrainRecipe } from './recipe.ts'

export interface Pace {
  /** Mean of the last steps. */
  readonly stepMs: number
  step(ms: number): void
  evaluation(ms: number): void
  /** What is left after `step` steps; `due`: the evaluation there is still to come. */
  leftMs(step: number, due?: boolean): number
}

/** Exponential mean of durations: follows length buckets and a machine that slows down. */
function meanOf(): { add(ms: number): void; readonly value: number | undefined } {
  let value = 0
  let weight = 0
  return {
    add: (ms) => {
      value = 0.95 * value + 0.05 * ms
      weight = 0.95 * weight + 0.05
    },
    get value() {
      return weight === 0 ? undefined : value / weight
    },
  }
}

/** Until one was timed: an evaluated row only goes forwards, which is about half of what a step does with a row. */
const FORWARD_SHARE = 0.5

/** How many evaluations follow step `step` (which is behind) of a run: one each `evalEvery` steps and one at its end. */
export function evaluationsAfter({ steps, evalEvery }: Pick<TrainRecipe, 'steps' | 'evalEvery'>, step: number): number {
  return Math.floor(steps / evalEvery) - Math.floor(step / evalEvery) + (steps % evalEvery === 0 || step >= steps ? 0 : 1)
}

/** @param evaluationRows rows of an evaluation, 0 where there is none */
export function paceOf(recipe: Pick<TrainRecipe, 'steps' | 'evalEvery' | 'batch' | 'accumulate'>, evaluationRows: number): Pace {
  const steps = meanOf()
  const evaluations = meanOf()
  const rows = recipe.batch * recipe.accumulate
  return {
    get stepMs() {
      return steps.value ?? 0
    },
    step: steps.add,
    evaluation: evaluations.add,
    leftMs: (step, due = false) => {
      const stepMs = steps.value ?? 0
      const evaluationMs = evaluations.value ?? (evaluationRows / rows) * FORWARD_SHARE * stepMs
      return (recipe.steps - step) * stepMs + (evaluationsAfter(recipe, step) + (due ? 1 : 0)) * evaluationMs
    },
  }
}
