/** inspect, verify and convert as people run them: what they print, what they write, how they exit. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compile, type Compiled } from './child.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
let cli: Compiled
let dir = ''
const at = (name: string): string => join(dir, name)

beforeAll(() => {
  cli = compile()
  dir = mkdtempSync(join(tmpdir(), 'soft-prompts-prompts-'))
})
afterAll(() => {
  cli?.remove()
  rmSync(dir, { recursive: true, force: true })
})

describe('inspect, verify, convert', () => {
  it('take a .npy of the paper to a folder and back, saying what is equal', async () => {
    const npy = join(fixtures, 'google/f32.npy')
    const nameless = await cli.run(['convert', npy, at('p')])
    expect(nameless).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('--base') })
    expect(existsSync(at('p'))).toBe(false)
    const there = await cli.run(['convert', npy, at('p'), '--base', 'google/t5-base-lm-adapt'])
    expect(there.code).toBe(0)
    expect(there.stdout).toMatch(/f32 +npy +\[5, 16\] +0 \(every bit equal\)/)
    const back = await cli.run(['convert', at('p'), at('p.npy'), '--json'])
    expect(JSON.parse(back.stdout)).toMatchObject({ form: 'npy', prompts: [{ maxDifference: 0 }] })
    expect(back.stderr).toContain('base_model stayed behind')
    expect(readFileSync(at('p.npy')).equals(readFileSync(npy))).toBe(true)
  })

  it.each(['full.npy', 'full.tar.gz', 'full'])('convert to %s says what a full disk refused, and leaves nothing half', async (name) => {
    const args = ['convert', join(fixtures, 'peft/prompt_tuning'), at(name), '--base', 'me/tiny', '--overwrite']
    const errors: string[] = []
    for (let fullAt = 1; errors.at(-1) !== ''; fullAt += 1) {
      const { code, stderr } = await cli.run(args, { fullAt })
      errors.push(code === 0 ? '' : stderr)
      expect(readdirSync(dir, { recursive: true }).filter((file) => String(file).includes('+'))).toEqual([])
    }
    // Refused where it is written and where it is renamed, at least; then it was done.
    expect(errors.length).toBeGreaterThan(2)
    for (const error of errors.slice(0, -1)) expect(error).toMatch(/full.* cannot be written \(ENOSPC.* \[disk-write\]/)
  })

  it('inspect shows a prompt, and with its model the words near it', async () => {
    const adapter = join(fixtures, 'onnx/adapters/tiny-t5-v10-a')
    const alone = await cli.run(['inspect', adapter])
    expect(alone.stdout).toMatch(/^prompt +tiny-t5-v10-a: 7 virtual tokens of width 64$/m)
    expect(alone.stdout).toMatch(/^stored +F32 \[14, 64\], of which 7 rows are dead$/m)
    expect(alone.stderr).toContain('Rows 7 to 13 were left out')
    const near = await cli.run(['inspect', adapter, '--model', join(fixtures, 'onnx/tiny-t5-v10'), '--nearest', '2'])
    expect(near.stdout).toMatch(/^token +norm +nearest pieces \(cosine\)$/m)
    expect(near.stdout).toMatch(/^ *6 +\S+ +\S+ -?\d\.\d\d {2}\S+ -?\d\.\d\d$/m)
    expect(await cli.run(['inspect', adapter, '--nearest', '0'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('inspect-nearest'),
    })
  })

  it("a stranger's control characters are shown, not obeyed, and make no lines of their own", async () => {
    await cli.run(['convert', join(fixtures, 'peft/prompt_tuning'), at('evil'), '--base', 'me/tiny'])
    const file = join(at('evil'), 'soft_prompt.json')
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    writeFileSync(file, JSON.stringify({ ...manifest, task: '\u001B[2J\u202Ex\nprompt    sound' }))
    const { code, stdout } = await cli.run(['inspect', at('evil')])
    expect(code).toBe(0)
    expect(stdout).toContain(String.raw`\u001b[2J\u202ex prompt sound`)
    expect(stdout).not.toMatch(/[\u001B\u202E]/)
    writeFileSync(file, JSON.stringify({ ...manifest, base_model: { id: 'x\u001B[31m' } }))
    expect((await cli.run(['inspect', at('evil')])).stderr).toContain(String.raw`names x\u001b[31m`)
  })

  it('verify exits 1 and names the fault', async () => {
    await cli.run(['convert', join(fixtures, 'peft/prompt_tuning'), at('v'), '--base', 'me/tiny'])
    expect(await cli.run(['verify', at('v')])).toMatchObject({ code: 0, stdout: expect.stringContaining('The prompt is sound.') })
    const file = join(at('v'), 'adapter_model.safetensors')
    const bytes = readFileSync(file)
    writeFileSync(file, bytes.fill(0x11, bytes.length - 3, bytes.length - 2))
    const bad = await cli.run(['verify', at('v')])
    expect(bad).toMatchObject({ code: 1, stderr: expect.stringContaining('1 of 7 checks failed: v: sha256 of adapter_model.safetensors') })
    expect(bad.stdout).toMatch(/sha256 of adapter_model.safetensors +failed .*the file was changed/)
    expect(JSON.parse((await cli.run(['verify', at('v'), '--json'])).stdout)).toMatchObject([{ sound: false }])
  })
})
