/** What a run may go on from: an undamaged checkpoint of itself. Every difference is told in words, then and now. */
import { describe, expect, it } from 'vitest'
import { SoftPromptError } from '../../src/errors.ts'
import { formatSafetensors, parseSafetensors } from '../../src/tensor/safetensors.ts'
import { formatCheckpoint, parseCheckpoint } from '../../src/train/checkpoint.ts'
import { makeRecipe } from '../../src/train/recipe.ts'
import { checkResume } from '../../src/train/resume.ts'
import type { RunIdentity, RunSources, TrainState } from '../../src/train/state.ts'
import { seal, sha256, unseal } from './checkpoint.ts'

const from: RunSources = { model: 't5', data: 'train.jsonl', dev: 'dev.jsonl', template: '{input}', target: 'target' }
const identity: RunIdentity = {
  recipe: makeRecipe({ length: 2, steps: 40 }),
  data: 'd',
  dev: 'e',
  labels: ['no', 'yes'],
  base: 'b',
  weights: 'w',
  start: 's',
  from,
}
const changed = (recipe: object, rest: Partial<RunIdentity> = {}, sources: Partial<RunSources> = {}): RunIdentity => ({
  ...identity,
  ...rest,
  recipe: makeRecipe({ ...identity.recipe, ...recipe }),
  from: { ...from, ...sources },
})
/** Without development rows of their own. */
function without(all: RunIdentity): RunIdentity {
  const { dev: _, from: sources, ...rest } = all
  const { dev: __, ...others } = sources as RunSources
  return { ...rest, from: others }
}

function refusal(saved: RunIdentity, wanted: RunIdentity): SoftPromptError {
  try {
    checkResume(saved, wanted)
  } catch (error) {
    if (error instanceof SoftPromptError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('checkResume', () => {
  it.each([
    ['learningRate', changed({ learningRate: 0.1 }), 'learning rate 0.3 then, 0.1 now'],
    ['seed', changed({ seed: 4 }, { start: 't' }), 'seed 0 then, 4 now'],
    ['schedule', changed({ schedule: 'linear' }), 'schedule constant then, linear now'],
    ['init', changed({ init: 'vocab' }, { start: 't' }), 'beginning labels then, vocab now'],
    ['data', changed({}, { data: 'x' }), 'the rows of train.jsonl have changed since'],
    ['data', changed({}, { data: 'x' }, { data: 'more.jsonl' }), 'the rows of train.jsonl then, of more.jsonl now'],
    ['template', changed({}, { data: 'x', dev: 'y' }, { template: 'is it? {input}' }), 'template "{input}" then, "is it? {input}" now'],
    ['target', changed({}, { data: 'x', dev: 'y' }, { target: 'label' }), 'field of the answer target then, label now'],
    ['labelMap', changed({}, { data: 'x' }, { labelMap: { 0: 'no' } }), 'label map none then, {"0":"no"} now'],
    ['dev', changed({}, { dev: 'x' }), 'the development rows of dev.jsonl have changed since'],
    ['dev', without(changed({})), 'development rows dev.jsonl then, none now'],
    ['labels', changed({}, { labels: ['bad', 'good'], start: 't' }), 'label words no, yes then, bad, good now'],
    ['base', changed({}, { base: 'x', weights: 'y', start: 't' }), 'the configuration, tokenizer or weights of t5 have changed since'],
    ['weights', changed({}, { weights: 'x' }), 'the weights of t5 have changed since'],
    ['weights', changed({}, { weights: 'x' }, { model: 'm3' }), 'the weights of t5 then, of m3 now'],
    ['start', changed({ init: 'labels' }, { start: 't' }), 'what it begins from (labels) has changed since'],
    ['start', changed({}, { start: 't' }, { init: 'is it good?' }), 'what it begins from: none then, "is it good?" now'],
  ])('says of another %s what was then and what is now', (name, wanted, words) => {
    const { code, facts, message } = refusal(identity, wanted)
    expect([code, facts['names']]).toEqual(['resume-mismatch', [name]])
    expect(message.endsWith(`or leave as it was: ${words}.`)).toBe(true)
    expect(message).not.toMatch(/[0-9a-f]{16}/)
  })

  it('names every choice that differs', () => {
    const wanted = changed({ batch: 8, optimizer: 'sgd' }, { data: 'x' })
    expect(refusal(identity, wanted).facts['names']).toEqual(['batch', 'optimizer', 'data'])
    expect(refusal(identity, changed({}, { weights: 'x' })).facts['options']).toEqual(['model'])
  })

  it('says once that other rows are held out', () => {
    const held = without(changed({ holdOut: 4 }, { data: 'x' }))
    expect(refusal(held, { ...held, recipe: { ...held.recipe, holdOut: 5 }, data: 'y', dev: 'z' }).facts['names']).toEqual(['holdOut'])
    const both = { ...held, dev: 'e' }
    expect(refusal(both, { ...both, data: 'y', dev: 'z' }).facts['names']).toEqual(['data'])
  })

  it('lets a run of constant rate go on for more steps, and on another engine', () => {
    expect(() => checkResume(identity, changed({ steps: 90, patience: 3, engine: 'another' }))).not.toThrow()
  })

  it('says why a falling rate has its number of steps', () => {
    const [saved, wanted] = [changed({ schedule: 'linear' }), changed({ schedule: 'linear', steps: 50 })]
    const { message, facts } = refusal(saved, wanted)
    expect(facts).toEqual({ names: ['steps'], schedule: 'linear', steps: 40 })
    expect(message).toMatch(/falls over its 40 steps \(schedule linear\): over 50 .* begin another run from its prompt/)
  })
})

const floats = (first: number): Float32Array => Float32Array.from({ length: 6 }, (_, index) => Math.sin(first + index))
const state: TrainState = {
  identity,
  step: 20,
  prompt: floats(1),
  optimizer: { step: 20, moments: { rows: floats(2), columns: floats(3) } },
  best: { step: 10, prompt: floats(4), metrics: [{ name: 'accuracy', split: 'dev', value: 0.5, n: 8 }] },
  stale: 1,
  window: { loss: 1.5, tokens: 3 },
}

describe('a checkpoint', () => {
  const bytes = seal([state, { ...state, step: 21 }])

  it('gives back what was put in, byte for byte', () => {
    expect(unseal(bytes)).toEqual([state, { ...state, step: 21 }])
    expect(seal(unseal(bytes))).toEqual(bytes)
  })

  it('says what the log of each prompt came to, or is of another version', () => {
    const logs = [2, 3].map((sizeBytes) => ({ sizeBytes, sha256: sha256(new Uint8Array(sizeBytes)) }))
    expect(parseCheckpoint(formatCheckpoint({ states: [state, state], logs }, sha256), sha256).logs).toEqual(logs)
    const [log] = logs as [(typeof logs)[0]]
    for (const wrong of [[], [log], [log, { ...log, sizeBytes: -1 }], [log, { ...log, sizeBytes: 0.5 }], [log, null]]) {
      const made = formatCheckpoint({ states: [state, state], logs: wrong as typeof logs }, sha256)
      expect(codeOf(made)).toBe('checkpoint-format')
    }
  })

  it('with any one bit flipped, of its tensors, its metadata or its digest, is damaged', () => {
    const codes = new Set<unknown>()
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = bytes.slice()
        flipped[at] = (flipped[at] as number) ^ (1 << bit)
        codes.add(codeOf(flipped))
      }
    }
    expect([...codes]).toEqual(['checkpoint-damaged'])
  })

  it('cut short, empty, or of something else, is damaged', () => {
    for (const length of [0, 7, 40, bytes.length - 1]) expect(codeOf(bytes.slice(0, length))).toBe('checkpoint-damaged')
    expect(codeOf(formatSafetensors(new Map(), { format: 'pt' }))).toBe('checkpoint-damaged')
  })

  it('of a version that kept no digest is told from a damaged one', () => {
    const { tensors, metadata } = parseSafetensors(bytes)
    const { states } = JSON.parse(metadata['soft_prompts_checkpoint'] as string) as { states: unknown }
    const before = formatSafetensors(tensors, { soft_prompts_checkpoint: JSON.stringify({ version: 2, states }) })
    expect(codeOf(before)).toBe('checkpoint-old')
    const sealless = formatSafetensors(tensors, { soft_prompts_checkpoint: JSON.stringify({ version: 3, states }) })
    expect(codeOf(sealless)).toBe('checkpoint-damaged')
  })
})

function codeOf(bytes: Uint8Array): unknown {
  try {
    unseal(bytes)
    return 'sound'
  } catch (error) {
    return (error as SoftPromptError).code
  }
}
