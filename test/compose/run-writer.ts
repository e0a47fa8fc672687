/** Writes the folder of a run of two prompts, from where it stands to a step: `run-writer.ts FOLDER STEP`. To be killed. */
import { join } from 'node:path'
import { openRunFolder } from '../../adapters/compose/run-folder.ts'
import { startState } from '../../src/train/loop.ts'
import { makeRecipe } from '../../src/train/recipe.ts'
import type { TrainState } from '../../src/train/state.ts'

const [dir = '', last = ''] = process.argv.slice(2)
const LANES = [0, 1]
const first = LANES.map((seed) => startState({ recipe: makeRecipe({ seed }), data: 'd', base: 'b', start: 's' }, Float32Array.of(seed, 0)))

const run = await openRunFolder(dir, { resume: true })
let states: readonly TrainState[] = run.saved ?? first
await run.begin(LANES.length, { options: {}, weights: [] })
for (let step = (states[0]?.step ?? 0) + 1; step <= Number(last); step++) {
  for (const lane of LANES) await run.log(lane, { step, loss: (lane + 1) / step, learning_rate: 0.3, gradient_norm: 1 })
  states = states.map((state) => ({ ...state, step }))
  if (step % 2 === 0) await run.save(states)
}
for (const lane of LANES) await run.publishLog(lane, join(dir, `log-${lane}.jsonl`))
await run.close()
