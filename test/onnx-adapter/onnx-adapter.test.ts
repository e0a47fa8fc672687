import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { formatAdapter, formatOnnxAdapter } from '../../adapters/onnx-adapter/onnx-adapter.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { tensor, type Tensor } from '../../src/tensor/tensor.ts'

const python = process.env['SOFT_PROMPTS_PYTHON'] ?? fileURLToPath(new URL('../../.peers/bin/python', import.meta.url))
const dir = await mkdtemp(join(tmpdir(), 'onnx-adapter-'))
afterAll(() => rm(dir, { recursive: true, force: true }))

const random = createRandom(1)
const prompt = softPrompt(
  tensor(
    'F32',
    [7, 16],
    Float32Array.from({ length: 7 * 16 }, () => random.uniform() * 900 - 450),
  ),
  { base: { id: 'x' } },
)

/** Walks the file as any FlatBuffers reader does: offsets and vtables, nothing assumed of the layout. */
function walk(bytes: Uint8Array): { name: string; dims: bigint[]; dataType: number; data: Uint8Array; dataAt: number }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const follow = (at: number): number => at + view.getUint32(at, true)
  const field = (table: number, index: number): number => table + view.getUint16(table - view.getInt32(table, true) + 4 + 2 * index, true)
  const root = follow(0)
  const list = follow(field(root, 3))
  return Array.from({ length: view.getUint32(list, true) }, (_, index) => {
    const table = follow(list + 4 + 4 * index)
    const [name, dims, raw] = [follow(field(table, 0)), follow(field(table, 1)), follow(field(table, 3))]
    const bytesAt = (at: number): Uint8Array => bytes.subarray(at + 4, at + 4 + view.getUint32(at, true))
    return {
      name: new TextDecoder().decode(bytesAt(name)),
      dims: Array.from({ length: view.getUint32(dims, true) }, (__, axis) => view.getBigInt64(dims + 4 + 8 * axis, true)),
      dataType: view.getInt32(field(table, 2), true),
      data: bytesAt(raw),
      dataAt: raw + 4,
    }
  })
}

describe('.onnx_adapter', () => {
  it('says what it is and comes back, aligned', () => {
    const bytes = formatOnnxAdapter(prompt)
    expect(new TextDecoder().decode(bytes.subarray(4, 8))).toBe('TORT')
    const [held, ...more] = walk(bytes)
    expect(more).toEqual([])
    expect(held).toMatchObject({ name: 'soft_prompt_rows', dims: [7n, 16n], dataType: 1 })
    expect(new Float32Array(Uint8Array.from(held?.data ?? []).buffer)).toEqual(prompt.embeddings.data)
    expect((held?.dataAt ?? 1) % 8).toBe(0)
    expect(formatOnnxAdapter(prompt)).toEqual(bytes)
  })

  it.each(['a', 'ab', 'abc', 'abcd', 'rows_über'])('several parameters, names of any length: %s', (name) => {
    const bytes = formatAdapter(
      new Map<string, Tensor>([
        [name, prompt.embeddings],
        ['second', tensor('F16', [3], new Uint16Array([1, 2, 3]))],
      ]),
    )
    expect(walk(bytes).map(({ name: read, dims, dataType, dataAt }) => [read, dims, dataType, dataAt % 8])).toEqual([
      [name, [7n, 16n], 1, 0],
      ['second', [3n], 10, 0],
    ])
  })

  it('refuses whole numbers', () => {
    expect(() => formatAdapter(new Map([['x', tensor('I64', [1], new BigInt64Array(1))]]))).toThrow(
      expect.objectContaining({ code: 'onnx-adapter-dtype' }),
    )
  })

  it.skipIf(!existsSync(python))(
    'Python onnxruntime loads it and computes as if the rows were fed (skipped without the peers)',
    async () => {
      const path = join(dir, 'prompt.onnx_adapter')
      await writeFile(path, formatOnnxAdapter(prompt, { adapterVersion: 3, modelVersion: 4 }))
      const script = fileURLToPath(new URL('read_adapter.py', import.meta.url))
      const got = JSON.parse(execFileSync(python, ['-B', script, path, 'soft_prompt_rows', '16'], { encoding: 'utf8' })) as Record<
        string,
        unknown
      >
      expect(got).toMatchObject({
        names: ['soft_prompt_rows'],
        format: 1,
        adapter: 3,
        model: 4,
        shape: [7, 16],
        dtype: 'float32',
        difference: 0,
      })
      expect(got['first']).toBe(prompt.embeddings.data[0])
      expect(got['sum']).toBeCloseTo(
        prompt.embeddings.data.reduce((sum, value) => sum + value, 0),
        6,
      )
    },
  )
})
