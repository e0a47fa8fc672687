/** `pytorch_model.bin` against what PyTorch wrote into it, a model read from it, and hostile files: nothing in them is run. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { parseStateDict } from '../../adapters/checkpoint/pickle.ts'
import { readTorchZip } from '../../adapters/checkpoint/torch-zip.ts'
import { SoftPromptError } from '../../src/errors.ts'
import { toFloat32 } from '../../src/tensor/half.ts'
import { viewAs } from '../../src/tensor/safetensors.ts'
import type { WeightRef } from '../../src/tensor/weights.ts'

const root = new URL('../../', import.meta.url).pathname
const folder = join(root, 'test/fixtures/torch')
const fixture = (name: string): string => join(folder, name)
const PYTHON = process.env['SOFT_PROMPTS_PYTHON'] ?? join(root, '.peers/bin/python')
let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'soft-prompts-torch-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function valuesOf({ dtype, source, offsetBytes, sizeBytes }: WeightRef): number[] {
  const bytes = new Uint8Array(readFileSync(source as string).subarray(offsetBytes, offsetBytes + sizeBytes))
  if (dtype === 'I64') return [...viewAs('I64', bytes)].map(Number)
  const float = dtype as 'F32' | 'F16' | 'BF16'
  return [...toFloat32(float, viewAs(float, bytes))]
}

const attempt = (work: () => Promise<unknown>): Promise<unknown> =>
  work().then(
    () => undefined,
    (error: unknown) => error,
  )

describe('readTorchZip', () => {
  it('finds every tensor where PyTorch put it', async () => {
    const want = JSON.parse(readFileSync(fixture('state.json'), 'utf8')) as Record<string, { shape: number[]; values: number[] }>
    const weights = await readTorchZip(fixture('state.bin'))
    const got = Object.fromEntries([...weights].map(([name, ref]) => [name, { shape: ref.shape, values: valuesOf(ref) }]))
    expect(got).toEqual(want)
    const [shared, tied] = [weights.get('shared.weight'), weights.get('encoder.embed_tokens.weight')]
    expect(tied?.offsetBytes).toBe(shared?.offsetBytes)
  })

  it.each([
    ['transposed.bin', 'torch-strides'],
    ['legacy.bin', 'torch-legacy'],
    ['make_state.py', 'torch-legacy'],
  ])('refuses %s', async (name, code) => {
    expect(await attempt(() => readTorchZip(fixture(name)))).toMatchObject({ code })
  })

  it('any cut or flipped byte of the records is refused by code or read as a state dict, never otherwise', async () => {
    const bytes = readFileSync(fixture('state.bin'))
    const path = join(dir, 'damaged.bin')
    const outcomes: unknown[] = []
    for (let at = 0; at < bytes.length; at += 23) {
      writeFileSync(path, bytes.subarray(0, at))
      outcomes.push(await attempt(() => readTorchZip(path)))
      const flipped = Uint8Array.from(bytes)
      flipped[at] = (flipped[at] as number) ^ 0xff
      writeFileSync(path, flipped)
      outcomes.push(await attempt(() => readTorchZip(path)))
    }
    expect(outcomes.filter((error) => error !== undefined && !(error instanceof SoftPromptError))).toEqual([])
    expect(outcomes.filter((error) => error instanceof SoftPromptError).length).toBeGreaterThan(outcomes.length / 2)
  })

  it.skipIf(!existsSync(PYTHON))(
    'openCheckpoint: the shipped base saved as .bin has the bytes of its safetensors (skipped without .peers)',
    async () => {
      const base = join(root, 'models/t5-tiny-en')
      const script =
        'import sys, torch; from safetensors.torch import load_file; torch.save(load_file(sys.argv[1] + "/model.safetensors"), sys.argv[2] + "/pytorch_model.bin")'
      execFileSync(PYTHON, ['-c', script, base, dir], { stdio: 'ignore' })
      cpSync(join(base, 'config.json'), join(dir, 'config.json'))
      const [want, got] = await Promise.all([openCheckpoint(base), openCheckpoint(dir)])
      expect([...got.weights.keys()].toSorted()).toEqual([...want.weights.keys()].toSorted())
      const files = new Map(
        [...want.weights.values(), ...got.weights.values()].map(({ source }) => [source, readFileSync(source as string)]),
      )
      const bytesOf = ({ source, offsetBytes, sizeBytes }: WeightRef): Buffer =>
        (files.get(source) as Buffer).subarray(offsetBytes, offsetBytes + sizeBytes)
      const other = [...want.weights].filter(([name, ref]) => !bytesOf(ref).equals(bytesOf(got.weights.get(name) as WeightRef)))
      expect(other.map(([name]) => name)).toEqual([])
      expect(got.embeddingTable().rows([7])).toEqual(want.embeddingTable().rows([7]))
    },
  )
})

const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0))

const pickle = (...parts: (number | string)[]): Uint8Array =>
  Uint8Array.from([0x80, 2, ...parts.flatMap((part) => (typeof part === 'string' ? ascii(part) : [part]))])
const parse = (bytes: Uint8Array): unknown => parseStateDict(bytes, 'evil.bin')

describe('parseStateDict', () => {
  it.each([
    ['os.system by GLOBAL', pickle('cos\nsystem\n', '(', 'X', 2, 0, 0, 0, 'id', 't', 'R', '.'), 'torch-pickle-global'],
    ['builtins.eval by STACK_GLOBAL', pickle(0x8c, 8, 'builtins', 0x8c, 4, 'eval', 0x93, '.'), 'torch-pickle-global'],
    ['a global that an object inherits', pickle('ctorch\n__proto__\n', '.'), 'torch-pickle-global'],
    ['torch.load inside', pickle('ctorch.serialization\nload\n', '.'), 'torch-pickle-global'],
    ['INST', pickle('(ios\nsystem\n.'), 'torch-pickle'],
    ['OBJ', pickle('(', 'ccollections\nOrderedDict\n', 'o.'), 'torch-pickle'],
    ['NEWOBJ', pickle('ccollections\nOrderedDict\n', ')', 0x81, '.'), 'torch-pickle'],
    ['EXT1', pickle(0x82, 1, '.'), 'torch-pickle'],
    ['a stack that runs empty', pickle('.'), 'torch-pickle'],
    ['a mark that was never set', pickle('t.'), 'torch-pickle'],
    ['a memo entry that was never kept', pickle('h', 9, '.'), 'torch-pickle'],
    ['a text longer than the file', pickle('X', 255, 255, 255, 255, 'a'), 'torch-pickle'],
    ['a line without an end', pickle('ctorch'), 'torch-pickle'],
    ['no stop', pickle('}'), 'torch-pickle'],
    ['no dict', pickle('N.'), 'torch-pickle'],
    [
      'a storage with a path for a name',
      pickle('(', 'X', 7, 0, 0, 0, 'storage', 'ctorch\nFloatStorage\n', 'X', 4, 0, 0, 0, '../x', 'N', 'K', 1, 't', 'Q', '.'),
      'torch-pickle',
    ],
  ])('%s', (_, bytes, code) => {
    expect(() => parse(bytes)).toThrow(expect.objectContaining({ code }))
  })
})
