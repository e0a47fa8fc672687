/** Each optimizer against PyTorch on gradients over ten decades (test/golden/make_optimizers.py). */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { clipNorm, rms } from '../../src/train/optimizer.ts'
import { learningRateAt, makeRecipe, optimizerOf } from '../../src/train/recipe.ts'

interface Golden {
  start: number[]
  gradients: number[][]
  cases: Record<string, { options: { name: string; learningRate: number; weightDecay: number; stepOffset: number }; values: number[][] }>
}

const golden = JSON.parse(readFileSync(new URL('../golden/optimizers.json', import.meta.url), 'utf8')) as Golden

const rates = (schedule: string): number[] => {
  const recipe = makeRecipe({ schedule, warmup: 4, steps: 14, learningRate: 1 })
  return Array.from({ length: 14 }, (_, index) => learningRateAt(recipe, index + 1))
}

describe('optimizers', () => {
  it.each(Object.entries(golden.cases))('%s equals PyTorch', (_, { options, values }) => {
    const { name, ...rest } = options
    const optimizer = optimizerOf(makeRecipe({ optimizer: name, ...rest }))
    const parameter = Float32Array.from(golden.start)
    const state = optimizer.create(parameter.length)
    for (const [step, gradient] of golden.gradients.entries()) {
      optimizer.update(state, parameter, Float32Array.from(gradient), options.learningRate)
      const want = values[step] as number[]
      const scale = rms(Float32Array.from(want))
      const worst = Math.max(
        ...want.map((value, index) => Math.abs(value - (parameter[index] as number)) / Math.max(Math.abs(value), scale)),
      )
      expect(worst, `step ${step + 1}`).toBeLessThan(1e-6)
    }
    expect(state.step).toBe(golden.gradients.length)
  })

  it('goes on from its state exactly as if it had not stopped', () => {
    const optimizer = optimizerOf(makeRecipe())
    const whole = Float32Array.from(golden.start)
    const halves = Float32Array.from(golden.start)
    const state = optimizer.create(whole.length)
    let carried = optimizer.create(whole.length)
    for (const gradient of golden.gradients) {
      optimizer.update(state, whole, Float32Array.from(gradient), 0.3)
      optimizer.update(carried, halves, Float32Array.from(gradient), 0.3)
      carried = { step: carried.step, moments: { v: Float32Array.from(carried.moments['v'] as Float32Array) } }
    }
    expect(halves).toEqual(whole)
  })

  it('clips a gradient to a norm and leaves a smaller one alone', () => {
    const gradient = Float32Array.of(3, 4)
    expect(clipNorm(gradient, 10)).toBeCloseTo(5)
    expect([...gradient]).toEqual([3, 4])
    clipNorm(gradient, 1)
    expect(gradient[0]).toBeCloseTo(0.6)
    expect(gradient[1]).toBeCloseTo(0.8)
  })
})

describe('recipe', () => {
  it("defaults to the paper's", () => {
    expect(makeRecipe()).toMatchObject({
      length: 100,
      init: 'labels',
      steps: 30_000,
      batch: 32,
      learningRate: 0.3,
      optimizer: 'adafactor',
      weightDecay: 1e-5,
    })
  })

  it.each([
    [{ length: 0 }, 'recipe-value'],
    [{ batch: 1.5 }, 'recipe-value'],
    [{ learningRate: 0 }, 'recipe-value'],
    [{ learningRate: Number.NaN }, 'recipe-value'],
    [{ optimizer: 'adam' }, 'recipe-value'],
    [{ stepz: 3 }, 'recipe-unknown'],
    [{ toString: 3 }, 'recipe-unknown'],
  ])('refuses %j', (choices, code) => {
    const options = code === 'recipe-value' ? { options: Object.keys(choices) } : {}
    expect(() => makeRecipe(choices)).toThrow(expect.objectContaining({ code, facts: expect.objectContaining(options) }))
  })

  it('schedules rise over the warm-up and fall to almost nothing', () => {
    expect(rates('constant').slice(0, 6)).toEqual([0.25, 0.5, 0.75, 1, 1, 1])
    expect(rates('linear').slice(4)).toEqual([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1].map((rate) => expect.closeTo(rate, 12)))
    const cosine = rates('cosine')
    expect(cosine[9]).toBeCloseTo(0.5)
    expect(cosine[13]).toBeLessThan(0.03)
  })
})
