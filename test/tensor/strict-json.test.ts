/** JSON from strangers: equal to JSON.parse on what is sound, a coded error on everything JSON.parse lets pass in silence. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_DEPTH, parseStrictJson } from '../../src/tensor/strict-json.ts'

const refused = (text: string, code: string): void => {
  expect(() => parseStrictJson(text, 'It')).toThrow(expect.objectContaining({ code }))
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

describe('strict JSON', () => {
  it('gives what JSON.parse gives', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 5 }).filter((text) => !text.includes('__proto__')),
        (text) => {
          expect(JSON.stringify(parseStrictJson(text, 'It'))).toBe(JSON.stringify(JSON.parse(text)))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('takes what JSON.parse takes, and nothing else, of near misses', () => {
    for (const text of [' [1 , 2 ] ', '"\\u0041\\n\\/"', '-0.5e-3', '0', '\t\n{"a":{}}\r']) {
      expect(JSON.stringify(parseStrictJson(text, 'It'))).toBe(JSON.stringify(JSON.parse(text)))
    }
    const misses = ['', ' ', '01', '.5', '1.', '+1', '-', 'NaN', 'Infinity', "'a'", '[1,]', '{"a":1,}', '{a:1}', '[1 2]', '{"a" 1}', 'tru']
    for (const text of [...misses, '"\\x41"', '"\\u12g4"', '"a\nb"', '"a', '// a\n1', '\ufeff1', '1 1', '{"a":1}}', '\u00a01']) {
      expect(() => JSON.parse(text)).toThrow(SyntaxError)
      refused(text, 'json-syntax')
    }
  })

  it.each([
    ['a key that stands twice', '{"a":1,"a":1}', 'json-duplicate-key'],
    ['a key that stands twice deep inside', '[{"b":{"a":1,"\\u0061":2}}]', 'json-duplicate-key'],
    ['the key __proto__', '{"__proto__":{"polluted":1}}', 'json-forbidden-key'],
    ['the key __proto__, escaped', '{"__pro\\u0074o__":1}', 'json-forbidden-key'],
    ['a number beyond every float', '[1e999]', 'json-number'],
  ])('%s', (_, text, code) => {
    expect(() => parseStrictJson(text, 'It')).toThrow(expect.objectContaining({ code }))
  })

  it('nesting: as deep as allowed, and one deeper', () => {
    expect(parseStrictJson(nested(MAX_DEPTH), 'It')).toBeInstanceOf(Array)
    refused(nested(MAX_DEPTH + 1), 'json-depth')
    refused('['.repeat(5_000_000), 'json-depth')
    refused('{"a":'.repeat(1_000_000), 'json-depth')
  })

  it('objects without a prototype: constructor and toString are keys like any other', () => {
    const read = parseStrictJson('{"constructor":1,"toString":2}', 'It') as Record<string, unknown>
    expect(Object.getPrototypeOf(read)).toBe(null)
    expect(read['hasOwnProperty']).toBe(undefined)
    expect(Object.keys(read)).toEqual(['constructor', 'toString'])
  })

  it('stays linear on a long string that is never closed, and on a long run of spaces', () => {
    const began = performance.now()
    refused(`"${'\\u0041'.repeat(200_000)}`, 'json-syntax')
    refused(`[${' '.repeat(2_000_000)}`, 'json-syntax')
    expect(performance.now() - began).toBeLessThan(2000)
  })
})
