/** Runs that are stopped and go on by their folder alone, on the shipped base: to the same bytes, or refused in words. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openEngine } from '../../adapters/compose/open-engine.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { keepOptions, resumeOptions } from '../../adapters/compose/kept-run.ts'
import { readKeptRun } from '../../adapters/compose/run-folder.ts'
import {
  drainTraining,
  trainPrompt,
  type TrainPromptEvent,
  type TrainPromptOptions,
  type TrainPromptResult,
} from '../../adapters/compose/train.ts'
import type { SoftPromptError } from '../../src/errors.ts'
import { headerLength, parseSafetensorsHeader } from '../../src/tensor/safetensors.ts'

const MODEL = new URL('../../models/t5-tiny-en/', import.meta.url).pathname
const FILES = ['adapter_model.safetensors', 'soft_prompt.json', 'training_log.jsonl', 'README.md']
let root = ''
let dir = ''
/** A fresh folder for each test. */
let count = 0

const rows = (noun: string): string =>
  Array.from({ length: 12 }, (_, index) =>
    JSON.stringify({ input: `the ${noun} number ${index}`, target: index % 2 ? 'good' : 'bad' }),
  ).join('\n')

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'soft-prompts-resume-'))
})
beforeEach(async () => {
  dir = join(root, `${count++}`)
  await mkdir(dir)
  await writeFile(join(dir, 'rows.jsonl'), rows('film'))
})
afterAll(() => rm(root, { recursive: true }))

const RECIPE = { length: 2, steps: 6, batch: 4, evalEvery: 2, holdOut: 4 }
const options = (out: string, more: Partial<TrainPromptOptions> = {}): TrainPromptOptions => ({
  model: MODEL,
  data: join(dir, 'rows.jsonl'),
  out: join(dir, out),
  threads: 1,
  recipe: RECIPE,
  ...more,
})

/** Trains; stops once an event is met. */
async function train(
  given: Parameters<typeof trainPrompt>[0],
  until: (event: TrainPromptEvent) => boolean = () => false,
): Promise<{ result: TrainPromptResult; events: TrainPromptEvent[] }> {
  const stop = new AbortController()
  const events: TrainPromptEvent[] = []
  const result = await drainTraining(trainPrompt({ ...given, signal: stop.signal }), (event) => {
    events.push(event)
    if (until(event)) stop.abort()
  })
  return { result, events }
}
const atStep = (step: number) => (event: TrainPromptEvent) => event.type === 'step' && event.step === step
const resume = (out: string, more: object = {}) => train({ resume: true, out: join(dir, out), threads: 1, ...more })
const refusal = async (work: Promise<unknown>): Promise<SoftPromptError> => (await work.catch((error: unknown) => error)) as SoftPromptError
const files = (out: string): Promise<string[]> => Promise.all(FILES.map((file) => readFile(join(dir, out, file), 'utf8')))

describe('a run that is stopped', () => {
  it('writes the best prompt so far, and goes on by its folder alone to the same bytes', async () => {
    const { result } = await train(options('stoppedRun'), atStep(3))
    expect(result).toMatchObject({ reason: 'aborted', step: 3, bestStep: 2 })
    const prompt = await openPrompt(join(dir, 'stoppedRun'))
    expect([prompt.embeddings.data, prompt.manifest.bestStep]).toEqual([result.prompt?.embeddings.data, 2])
    expect((await resume('stoppedRun')).result).toMatchObject({ reason: 'steps', step: 6 })
    await train(options('wholeRun'))
    expect((await files('stoppedRun')).map((text) => text.replaceAll('stoppedRun', 'wholeRun'))).toEqual(await files('wholeRun'))
  })

  it('before its first step writes no prompt, and can go on', async () => {
    const { result } = await train(options('early'), ({ type }) => type === 'prepared')
    expect([result.reason, result.step, result.prompt]).toEqual(['aborted', 0, undefined])
    expect(await readdir(join(dir, 'early'))).toEqual(['checkpoint'])
    expect((await resume('early')).result).toMatchObject({ reason: 'steps', step: 6 })
  })

  it('of several tasks and seeds writes each prompt, and goes on with all', async () => {
    await writeFile(join(dir, 'soup.jsonl'), rows('soup'))
    const { data: _, ...common } = options('many', { seeds: 2 })
    const tasks = { film: { data: join(dir, 'rows.jsonl') }, soup: { data: join(dir, 'soup.jsonl'), template: 'eat: {input}' } }
    const { result } = await train({ ...common, tasks }, atStep(2))
    expect(result.runs?.map(({ reason, prompt }) => [reason, prompt !== undefined])).toEqual(
      Array.from({ length: 4 }, () => ['aborted', true]),
    )
    const { result: rest } = await resume('many')
    expect(rest.runs?.map(({ name, seed, step }) => `${name} ${seed} ${step}`)).toEqual(['film 0 6', 'film 1 6', 'soup 0 6', 'soup 1 6'])
    expect(rest.runs?.[2]?.prompt?.manifest.template).toBe('eat: {input}')
    const { facts } = await refusal(resume('many', { seeds: 1 }))
    expect(facts).toMatchObject({ saved: 4, lanes: 2 })
  })
})

describe('a run that goes on', () => {
  it('takes more steps where its rate is constant', async () => {
    await train(options('short', { recipe: { ...RECIPE, steps: 4 } }))
    expect((await resume('short', { recipe: { steps: 6 } })).result).toMatchObject({ reason: 'steps', step: 6 })
    await train(options('whole'))
    expect(await readFile(join(dir, 'short/adapter_model.safetensors'))).toEqual(
      await readFile(join(dir, 'whole/adapter_model.safetensors')),
    )
    // What it was made longer to is kept.
    expect((await readKeptRun(join(dir, 'short')))?.options.recipe).toEqual(RECIPE)
  })

  it('is refused another number of steps where its rate falls, and said why', async () => {
    await train(options('falling', { recipe: { ...RECIPE, steps: 2, schedule: 'linear' } }))
    const { code, message } = await refusal(resume('falling', { recipe: { steps: 4 } }))
    expect([code, message]).toEqual([
      'resume-mismatch',
      expect.stringMatching(/falls over its 2 steps \(schedule linear\).*another run from its prompt/),
    ])
  })

  it('may go on with another engine, and says so', async () => {
    await train(options('engines', { recipe: { ...RECIPE, steps: 2 } }))
    const engine = { ...(await openEngine({ threads: 1 })), name: 'another' }
    const { result, events } = await resume('engines', { engine, recipe: { steps: 3 } })
    expect(result.prompt?.manifest.recipe?.['engine']).toBe('onnxruntime-cpu then another')
    expect(events.flatMap((event) => (event.type === 'warning' ? [event.code] : []))).toContain('resume-engine')
    const { result: same } = await resume('engines', { engine, recipe: { steps: 4 } })
    expect(same.prompt?.manifest.recipe?.['engine']).toBe('onnxruntime-cpu then another')
  })

  it.each([
    ['the same embeddings and other layers, elsewhere', 'other', /the weights of base then, of other now/, ['weights']],
    ['the same embeddings and other layers, in its place', 'base', /the weights of base have changed since/, ['weights']],
  ] as const)('is refused a model of %s', async (_, place, words, names) => {
    await cp(MODEL, join(dir, 'base'), { recursive: true, filter: (path) => !path.includes('onnx') })
    await train(options('run', { model: join(dir, 'base'), recipe: { ...RECIPE, steps: 2 } }))
    if (place === 'other') await cp(join(dir, 'base'), join(dir, 'other'), { recursive: true })
    await changeLayer(join(dir, place))
    const { code, facts, message } = await refusal(
      resume('run', { recipe: { steps: 4 }, ...(place === 'base' ? {} : { model: join(dir, place) }) }),
    )
    expect([code, facts['names'], message]).toEqual(['resume-mismatch', names, expect.stringMatching(words)])
  })

  it('is not refused the same model in another place', async () => {
    await train(options('run', { recipe: { ...RECIPE, steps: 2 } }))
    await cp(MODEL, join(dir, 'copy'), { recursive: true, filter: (path) => !path.includes('onnx') })
    expect((await resume('run', { model: join(dir, 'copy'), recipe: { steps: 3 } })).result.step).toBe(3)
  })

  it.each([
    ['rows that changed', async () => writeFile(join(dir, 'rows.jsonl'), rows('play')), {}, /the rows of rows\.jsonl have changed since/],
    ['another template', async () => {}, { template: 'say: {input}' }, /template "\{input\}" then, "say: \{input\}" now/],
    ['another rate', async () => {}, { recipe: { learningRate: 0.1 } }, /learning rate 0\.3 then, 0\.1 now/],
    ['other label words', async () => {}, { labels: ['good', 'bad'] }, /label words bad, good then, good, bad now/],
  ] as const)('is refused %s', async (_, change, given, words) => {
    await train(options('run', { recipe: { ...RECIPE, steps: 2 } }))
    await change()
    expect(await refusal(resume('run', given))).toMatchObject({ code: 'resume-mismatch', message: expect.stringMatching(words) })
  })

  it('has to be there; nothing is left where it is not', async () => {
    expect(await refusal(resume('none'))).toMatchObject({ code: 'resume-none', message: expect.stringContaining(join(dir, 'none')) })
    expect(await refusal(train(options('bad', { target: 'nothing' })))).toMatchObject({ code: 'row-field' })
    expect(await readdir(dir)).toEqual(['rows.jsonl'])
  })

  it('stays whole where one that would replace it fails', async () => {
    await train(options('run', { recipe: { ...RECIPE, steps: 2 } }))
    const state = await readFile(join(dir, 'run/checkpoint/state.safetensors'))
    expect(await refusal(train(options('run', { overwrite: true, target: 'nothing' })))).toMatchObject({ code: 'row-field' })
    expect(await readFile(join(dir, 'run/checkpoint/state.safetensors'))).toEqual(state)
  })
})

/** Other values in one matrix of the encoder, as fine-tuning leaves them; embeddings and norms stay. */
async function changeLayer(model: string): Promise<void> {
  const path = join(model, 'model.safetensors')
  const bytes = await readFile(path)
  const { entries } = parseSafetensorsHeader(bytes.subarray(0, 8 + headerLength(bytes, bytes.length)), bytes.length)
  const { offsetBytes = 0 } = entries.get('encoder.block.1.layer.0.SelfAttention.q.weight') ?? {}
  bytes.writeFloatLE(bytes.readFloatLE(offsetBytes) + 0.5, offsetBytes)
  await writeFile(path, bytes)
}

describe('a damaged checkpoint', () => {
  it('is refused before anything else, whatever bit of it flipped, and stays as it is', async () => {
    await train(options('run', { recipe: { ...RECIPE, steps: 2 } }))
    const path = join(dir, 'run/checkpoint/state.safetensors')
    const sound = await readFile(path)
    const header = 8 + headerLength(sound, sound.length)
    const { entries } = parseSafetensorsHeader(sound.subarray(0, header), sound.length)
    expect([...entries.keys()]).toEqual(expect.arrayContaining(['0.prompt', '0.best']))
    expect(entries.size).toBeGreaterThan(2)
    const places = [...entries.values()].map(({ offsetBytes, sizeBytes }) => offsetBytes + Math.floor(sizeBytes / 2))
    for (const at of [...places, sound.indexOf('"step') + 8, sound.indexOf('learningRate'), 20, 40]) {
      const flipped = Buffer.from(sound)
      flipped[at] = (flipped[at] as number) ^ 1
      await writeFile(path, flipped)
      const error = await refusal(resume('run', { model: join(dir, 'no-such-model') }))
      expect([error.code, error.message]).toEqual(['checkpoint-damaged', expect.stringContaining(path)])
      expect(await readFile(path)).toEqual(flipped)
    }
    await writeFile(path, sound)
    expect((await resume('run')).result.step).toBe(2)
  })

  it('is what a changed start of the run is, too', async () => {
    await train(options('run', { recipe: { ...RECIPE, steps: 2 } }))
    const path = join(dir, 'run/checkpoint/run.json')
    const text = await readFile(path, 'utf8')
    for (const [from, to] of [
      ['"batch": 4', '"batch": 5'],
      ['rows.jsonl', 'rowt.jsonl'],
      ['"version": 1', '"version": 0'],
      ['{', '['],
    ] as const) {
      await writeFile(path, text.replace(from, to))
      expect((await refusal(resume('run'))).code).toMatch(from.includes('version') ? /^checkpoint-format$/ : /^checkpoint-damaged$/)
    }
    // Without it, all that it said is given again.
    await rm(path)
    expect(await refusal(resume('run'))).toMatchObject({ code: 'resume-none' })
    expect((await train({ ...options('run', { recipe: { ...RECIPE, steps: 3 } }), resume: true })).result.step).toBe(3)
  })
})

/** A log of a run while it lasts. */
const log = (out: string, name = 'training_log.jsonl'): string => join(dir, out, 'checkpoint', name)
/** Of a log's lines. */
const steps = (text: string): number[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { step: number }).step)

describe('a log whose bytes are not those of the run', () => {
  it('is refused before anything else, and stays as it is: a digit that flipped, a line that is missing, of any prompt', async () => {
    await train(options('run', { seeds: 2, recipe: { ...RECIPE, steps: 2 } }))
    const state = await readFile(join(dir, 'run/checkpoint/state.safetensors'))
    for (const path of [log('run', 'training_log-0.jsonl'), log('run', 'training_log-1.jsonl')]) {
      const sound = await readFile(path, 'utf8')
      const digit = sound.indexOf('"loss":') + 9
      const flipped = `${sound.slice(0, digit)}${(Number(sound[digit]) + 1) % 10}${sound.slice(digit + 1)}`
      expect(flipped).not.toBe(sound)
      for (const text of [flipped, sound.slice(sound.indexOf('\n') + 1), sound.slice(0, -1), '']) {
        await writeFile(path, text)
        const error = await refusal(resume('run', { model: join(dir, 'no-such-model') }))
        expect([error.code, error.facts['path'], error.message]).toEqual([
          'checkpoint-damaged',
          path,
          expect.stringMatching(/training_log-\d\.jsonl is damaged.*Put a copy in its place.*delete it/),
        ])
        expect(await readFile(path, 'utf8')).toBe(text)
      }
      await writeFile(path, sound)
    }
    expect(await readFile(join(dir, 'run/checkpoint/state.safetensors'))).toEqual(state)
    expect((await resume('run')).result.step).toBe(2)
  })

  it('is cut where only lines behind the state are others', async () => {
    await train(options('whole'))
    await train(options('run', { recipe: { ...RECIPE, steps: 4 } }))
    const sound = await readFile(log('run'), 'utf8')
    await writeFile(log('run'), `${sound}{"step": 4, "loss": 1}\n{"step": 5, "lo`)
    await resume('run', { recipe: { steps: 6 } })
    for (const out of ['run', 'whole'])
      expect(await readFile(join(dir, out, 'training_log.jsonl'), 'utf8')).toBe(await readFile(log('whole'), 'utf8'))
  })

  it('may be deleted: the prompt is the same, and it is said where the log begins', async () => {
    await train(options('whole'))
    await train(options('run', { recipe: { ...RECIPE, steps: 4 } }))
    await rm(log('run'))
    const { events } = await resume('run', { recipe: { steps: 6 } })
    const warning = events.find((event) => event.type === 'warning' && event.code === 'resume-log')
    expect(warning).toMatchObject({ message: expect.stringContaining(log('run')) })
    expect(await readFile(join(dir, 'run/adapter_model.safetensors'))).toEqual(await readFile(join(dir, 'whole/adapter_model.safetensors')))
    expect(steps(await readFile(join(dir, 'run/training_log.jsonl'), 'utf8'))).toEqual([5, 6, 6])
    // Once told, it is the log of the run.
    const { events: later } = await resume('run')
    expect(later.flatMap((event) => (event.type === 'warning' ? [event.code] : []))).not.toContain('resume-log')
  })

  it('is not published where it changed while the run went on; nothing of the run is lost', async () => {
    await train(options('whole'))
    const given = options('run')
    const events = trainPrompt(given)
    const work = (async () => {
      for await (const event of events) {
        if (event.type !== 'step' || event.step !== 4) continue
        await writeFile(log('run'), (await readFile(log('run'), 'utf8')).replace('"step":1', '"step":0'))
      }
    })()
    expect(await refusal(work)).toMatchObject({ code: 'checkpoint-damaged', facts: { path: log('run') } })
    expect((await readdir(join(dir, 'run'))).includes('training_log.jsonl')).toBe(false)
    await rm(log('run'))
    expect((await resume('run')).result).toMatchObject({ reason: 'steps', step: 6 })
    expect(await readFile(join(dir, 'run/adapter_model.safetensors'))).toEqual(await readFile(join(dir, 'whole/adapter_model.safetensors')))
  })
})

describe('what is kept', () => {
  it('names files by their whole path, and holds no rights and no ways', () => {
    const kept = keepOptions({
      model: relative(process.cwd(), MODEL),
      data: { repo: 'me/rows', split: 'train', token: 'hf_secret', hubUrl: 'http://localhost', cacheDir: '/cache', offline: true },
      dev: 'dev.jsonl',
      initPrompt: 'me/first',
      tasks: { a: { data: 'a.csv' }, b: { data: '-' } },
      engine: { name: 'own' },
    })
    expect(kept).toEqual({
      model: MODEL.replace(/\/$/, ''),
      data: { repo: 'me/rows', split: 'train' },
      dev: join(process.cwd(), 'dev.jsonl'),
      initPrompt: 'me/first',
      tasks: { a: { data: join(process.cwd(), 'a.csv') }, b: { data: '-' } },
    })
  })

  it('gives way to what is given; rows of standard input have to be', () => {
    const kept = { model: 'me/t5', data: '-', recipe: { steps: 4, batch: 2 } }
    expect(() => resumeOptions(kept, {})).toThrow(/came from standard input.*--data FILE/)
    expect(resumeOptions(kept, { data: 'rows.jsonl', recipe: { steps: 8 }, threads: 2 })).toEqual({
      model: 'me/t5',
      data: 'rows.jsonl',
      recipe: { steps: 8, batch: 2 },
      threads: 2,
    })
  })
})
