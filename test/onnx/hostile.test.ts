/** Bytes made to break a protobuf reader: each is refused with its own code, in bounded time and memory. */
import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../../src/errors.ts'
import { formatModel, MAX_DEPTH, parseModel } from '../../src/onnx/model.ts'
import { externalDataOf, makeTensor, withExternalData } from '../../src/onnx/tensors.ts'

const codeOf = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    if (error instanceof FormatError) return error.code
    throw error
  }
  return 'accepted'
}
const parse = (...bytes: number[]): string => codeOf(() => parseModel(new Uint8Array(bytes)))
const tiny = new Uint8Array(readFileSync(new URL('../fixtures/onnx/tiny-t5-v10/onnx/encoder_model_quantized.onnx', import.meta.url)))

/** A tag, a length and what it holds. */
const wrap = (tag: number, inner: readonly number[]): number[] => {
  const size = inner.length < 128 ? [inner.length] : [(inner.length & 0x7f) | 0x80, inner.length >> 7]
  return [tag, ...size, ...inner]
}

describe('hostile bytes', () => {
  it('nothing, text, a PNG', () => {
    expect(parse()).toBe('onnx-empty')
    expect(codeOf(() => parseModel(new TextEncoder().encode('<!DOCTYPE html><html>')))).toMatch(/^onnx-/)
    expect(parse(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)).toMatch(/^onnx-/)
  })
  it('a varint that never ends', () => expect(parse(0x08, ...Array.from({ length: 40 }, () => 0xff))).toBe('onnx-varint'))
  it('a varint of 65 bits', () => expect(parse(0x08, ...Array.from({ length: 9 }, () => 0x80), 2)).toBe('onnx-varint'))
  it('an integer beyond 2^53', () => expect(parse(0x08, ...Array.from({ length: 8 }, () => 0xff), 0x7f)).toBe('onnx-integer'))
  it('a varint cut off', () => expect(parse(0x08, 0x80)).toBe('onnx-truncated'))
  it('a length past the end', () => expect(parse(0x3a, 0x05, 0)).toBe('onnx-truncated'))
  it('a length of 2^63 - 1 and of -1', () => {
    expect(parse(0x3a, ...Array.from({ length: 8 }, () => 0xff), 0x7f)).toBe('onnx-integer')
    expect(parse(0x3a, ...Array.from({ length: 9 }, () => 0xff), 1)).toBe('onnx-truncated')
  })
  it('an inner length past its parent, inside the file', () =>
    expect(parse(0x3a, 2, 0x0a, 9, ...Array.from({ length: 20 }, () => 0))).toBe('onnx-truncated'))
  it('field 0, groups, wire type 7', () => {
    expect(parse(0x02, 0)).toBe('onnx-tag')
    expect(parse(0x0b)).toBe('onnx-tag')
    expect(parse(0x0f)).toBe('onnx-tag')
  })
  it('a known field of another wire type', () => expect(parse(0x3d, 0, 0, 0, 0)).toBe('onnx-field'))
  it('two graphs', () => expect(parse(0x3a, 0, 0x3a, 0)).toBe('onnx-field'))
  it('a name that is not UTF-8', () => expect(parse(0x12, 2, 0xc3, 0x28)).toBe('onnx-text'))

  it('graphs in attributes, deeper than the limit', () => {
    let graph: number[] = []
    for (let depth = 0; depth < MAX_DEPTH / 2; depth++) graph = wrap(0x0a, wrap(0x2a, wrap(0x32, graph)))
    expect(parse(...wrap(0x3a, graph))).toBe('onnx-depth')
  })

  it('a real file cut anywhere is refused, never hangs', () => {
    for (let size = 0; size < tiny.length; size += 997) expect(codeOf(() => parseModel(tiny.subarray(0, size)))).toMatch(/^onnx-/)
  })

  it('a real file with any byte changed is read or refused with a code, and what is read can be written', () => {
    fc.assert(
      fc.property(fc.nat(20_000), fc.nat(255), (at, byte) => {
        const changed = tiny.slice()
        changed[at] = byte
        expect(
          codeOf(() => {
            formatModel(parseModel(changed))
          }),
        ).toMatch(/^(onnx-|accepted)/)
      }),
      { numRuns: 100 },
    )
  })
})

const tensor = makeTensor('w', 1, [2], new Uint8Array(8))
const entries = (...externalData: { key: string; value: string }[]): string =>
  codeOf(() => externalDataOf({ ...tensor, externalData, dataLocation: 1 }))

describe('external data', () => {
  it('is written and read', () => {
    const moved = withExternalData(tensor, { location: 'model.onnx_data', offset: 4096, length: 8 })
    expect(moved.rawData).toBeUndefined()
    expect(externalDataOf(moved)).toEqual({ location: 'model.onnx_data', offset: 4096, length: 8 })
    expect(externalDataOf(tensor)).toBeUndefined()
  })
  it('refuses numbers that are none and a missing location', () => {
    expect(entries({ key: 'location', value: 'x' }, { key: 'offset', value: '-1' })).toBe('onnx-external-data')
    expect(entries({ key: 'location', value: 'x' }, { key: 'length', value: '1e3' })).toBe('onnx-external-data')
    expect(entries()).toBe('onnx-external-data')
  })
})
