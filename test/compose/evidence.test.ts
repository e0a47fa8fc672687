/** What is measured for a card can be stopped: what was found stays, the prompt is written. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gatherEvidence, type EvidenceOptions } from '../../adapters/compose/evidence.ts'
import { openBase } from '../../adapters/compose/open-base.ts'
import { openEngine } from '../../adapters/compose/open-engine.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { drainTraining, trainPrompt, type TrainPromptEvent } from '../../adapters/compose/train.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'

const MODEL = join(import.meta.dirname, '../../models/t5-tiny-en')
const WORDS = ['yes', 'no']
let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'soft-prompts-evidence-'))
  const rows = Array.from({ length: 40 }, (_, row) => JSON.stringify({ input: `row ${row}`, target: WORDS[row % 2] }))
  await writeFile(join(dir, 'rows.jsonl'), rows.join('\n'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

describe('gatherEvidence', () => {
  it('ends between two batches with what it has', async () => {
    const base = await openBase(MODEL)
    const model = await emittedSeq2Seq(await openEngine({ threads: 1 }), base.config, base.weights)
    const rows = Array.from({ length: 80 }, (_, row) => ({
      inputIds: base.tokenizer.encode(`row ${row}`),
      targetIds: [],
      target: WORDS[row % 2] ?? '',
      input: `row ${row}`,
    }))
    const ask = async (stopAfter: number): Promise<[string[], number]> => {
      const stop = new AbortController()
      let encoded = 0
      const counted: typeof model = {
        ...model,
        encode: (input) => {
          if (++encoded > stopAfter) stop.abort()
          return model.encode(input)
        },
      }
      const options: EvidenceOptions = {
        base,
        prompt: new Float32Array(2 * base.config.width).fill(0.1),
        rows,
        trained: WORDS,
        labels: WORDS,
        maxNewTokens: 2,
        failures: 5,
        model: async () => counted,
        signal: stop.signal,
      }
      return [Object.keys(await gatherEvidence(options)), encoded]
    }
    const [whole, batches] = await ask(Infinity)
    expect(whole).toEqual(['nearest', 'baselines', 'failures'])
    expect(batches).toBeGreaterThanOrEqual(4)
    expect(await ask(0)).toEqual([['nearest'], 1])
    // Stopped while the prompt's own answers are collected: the baselines stay.
    expect(await ask(batches / 2)).toEqual([['nearest', 'baselines'], batches / 2 + 1])
    await model.dispose()
  })
})

describe('trainPrompt', () => {
  it('measures each of several seeds', async () => {
    const data = join(dir, 'rows.jsonl')
    const recipe = { length: 2, steps: 1, batch: 4, evalEvery: 1 }
    await drainTraining(trainPrompt({ model: MODEL, data, dev: data, out: join(dir, 'seeds'), recipe, threads: 1, seeds: 2, failures: 2 }))
    for (const seed of ['seed-0', 'seed-1']) {
      const { manifest } = await openPrompt(join(dir, 'seeds', seed))
      expect(manifest.baselines?.map(({ of, n }) => [of, n])).toEqual(['untuned', 'untuned', 'majority', 'majority'].map((of) => [of, 40]))
      expect([manifest.nearest?.length, manifest.failures?.length]).toEqual([2, 2])
      expect(await readFile(join(dir, 'seeds', seed, 'README.md'), 'utf8')).toContain(`# ${seed}\n`)
    }
  })

  it('stopped at its end writes the prompt and says what is missing', async () => {
    const stop = new AbortController()
    const out = join(dir, 'out')
    const events: TrainPromptEvent[] = []
    const recipe = { length: 2, steps: 2, batch: 4, evalEvery: 2 }
    const data = join(dir, 'rows.jsonl')
    const run = trainPrompt({ model: MODEL, data, dev: data, out, recipe, threads: 1, signal: stop.signal, failures: 3 })
    const result = await drainTraining(run, (event) => {
      events.push(event)
      if (event.type === 'finished') stop.abort()
    })
    expect(result).toMatchObject({ reason: 'steps', step: 2 })
    expect(events.findLast(({ type }) => type === 'warning')).toMatchObject({ code: 'evidence-stopped' })
    const { manifest } = await openPrompt(out)
    expect([manifest.metrics?.length, manifest.baselines, manifest.nearest, manifest.failures]).toEqual([
      2,
      undefined,
      undefined,
      undefined,
    ])
    expect(await readFile(join(out, 'README.md'), 'utf8')).not.toContain('base without it')
  })
})
