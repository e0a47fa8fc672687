import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { create, list } from 'tar'
import { afterAll, describe, expect, it } from 'vitest'
import { formatBundle, parseBundle, readBundle, writeBundle, type Bundle } from '../../adapters/tar/bundle.ts'
import { formatTar, parseTar } from '../../adapters/tar/tar.ts'
import { sampleArtifact } from '../fuzz/sample.ts'
import { archive, zipped, type Lie } from './hostile.ts'

const files = await sampleArtifact()
const single: Bundle = new Map([['', files]])
const pack: Bundle = new Map([
  ['sentiment', files],
  ['topic', files],
])
const dir = await mkdtemp(join(tmpdir(), 'bundle-'))
afterAll(() => rm(dir, { recursive: true, force: true }))

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))
const refusal = (code: string): Error => expect.objectContaining({ code }) as Error
const config: Lie = { name: 'adapter_config.json', bytes: utf8('{}') }
const noGzip = new Uint8Array(await readFile(new URL('../fixtures/peft/cpt/adapter_model.safetensors', import.meta.url)))

describe('bundle', () => {
  it.each([
    ['one prompt', single],
    ['a pack', pack],
  ] as const)('%s comes back, and the same input gives the same bytes in any order', (_, bundle) => {
    const bytes = formatBundle(bundle)
    const back = parseBundle(bytes)
    expect([...back.keys()]).toEqual([...bundle.keys()])
    for (const [name, held] of bundle) {
      for (const [file, body] of held) expect(Buffer.from(back.get(name)?.get(file) ?? []).equals(body), `${name}/${file}`).toBe(true)
    }
    const reversed = new Map([...bundle].toReversed().map(([name, held]) => [name, new Map([...held].toReversed())]))
    expect(Buffer.from(formatBundle(reversed)).equals(bytes)).toBe(true)
  })

  it('more than one stored block, and an edge of one', () => {
    for (const size of [65_535 - 512 * 3, 200_000, 1_600_000]) {
      const noise = Uint8Array.from({ length: size }, (_, index) => Math.imul(index, 2_654_435_761) >>> 24)
      const held = new Map([
        ['adapter_config.json', utf8('{}')],
        ['adapter_model.safetensors', noise],
      ])
      expect(
        Buffer.from(
          parseBundle(formatBundle(new Map([['', held]])))
            .get('')
            ?.get('adapter_model.safetensors') ?? [],
        ).equals(noise),
      ).toBe(true)
    }
  })

  it('is read by other tars', async () => {
    const path = join(dir, 'ours.tar.gz')
    await writeBundle(path, pack)
    const names: string[] = []
    await list({ file: path, strict: true, onReadEntry: (entry) => void names.push(entry.path) })
    expect(names.length).toBe(2 * files.size)
    expect(execFileSync('tar', ['-tzf', path], { encoding: 'utf8' }).trim().split('\n')).toEqual(names)
    expect(await readBundle(path)).toEqual(parseBundle(formatBundle(pack)))
    expect((await readdir(dir)).filter((name) => name.includes('.part'))).toEqual([])
  })

  it('reads what other tars make of a folder: its own files only', async () => {
    const folder = join(dir, 'my-prompt')
    await mkdir(join(folder, 'checkpoint'), { recursive: true })
    for (const [name, body] of files) await writeFile(join(folder, name), body)
    await writeFile(join(folder, 'checkpoint', 'state.safetensors'), 'x')
    await writeFile(join(folder, 'notes.txt'), 'x')
    const [system, node] = [join(dir, 'system.tar.gz'), join(dir, 'node.tar.gz')]
    execFileSync('tar', ['-C', dir, '-czf', system, 'my-prompt'])
    await create({ file: node, gzip: true, cwd: folder }, ['.'])
    expect([...(await readBundle(system)).keys()]).toEqual(['my-prompt'])
    expect([...(await readBundle(node)).keys()]).toEqual([''])
    for (const held of [...(await readBundle(system)).values(), ...(await readBundle(node)).values()]) {
      expect([...held.keys()].toSorted()).toEqual([...files.keys()].toSorted())
      expect(Buffer.from(held.get('adapter_model.safetensors') ?? []).equals(files.get('adapter_model.safetensors') as Uint8Array)).toBe(
        true,
      )
    }
  })

  it('exact times in extended headers are passed over', () => {
    const times: Lie = { name: 'PaxHeader', type: 'x', bytes: utf8('28 mtime=1700000000.1234567\n') }
    expect([...parseBundle(zipped([times, config])).keys()]).toEqual([''])
  })

  it('an archive of no prompt, and a prompt beside folders of prompts, are refused', () => {
    expect(() => parseBundle(zipped([{ name: 'notes.txt' }]))).toThrow(refusal('bundle-empty'))
    expect(() => parseBundle(zipped([config, { ...config, name: 'a/adapter_config.json' }]))).toThrow(refusal('bundle-mixed'))
  })

  it('a README of the pack is no prompt', () => {
    expect([...parseBundle(zipped([{ name: 'README.md' }, { ...config, name: 'a/adapter_config.json' }])).keys()]).toEqual(['a'])
  })
})

type Attack = [name: string, code: string, entries: readonly Lie[], tail?: Uint8Array]

describe('hostile bundles', () => {
  const attacks: readonly Attack[] = [
    ['a name that climbs out (CVE-2007-4559)', 'bundle-name', [{ ...config, name: '../adapter_config.json' }]],
    ['a name that climbs out further in', 'bundle-name', [{ ...config, name: 'a/../../adapter_config.json' }]],
    ['an absolute name', 'bundle-name', [{ ...config, name: '/etc/adapter_config.json' }]],
    ['a drive', 'bundle-name', [{ ...config, name: 'C:/adapter_config.json' }]],
    ['a drive-relative name (CVE-2026-24842)', 'bundle-name', [{ ...config, name: 'c:../adapter_config.json' }]],
    ['backslashes', 'bundle-name', [{ ...config, name: String.raw`..\adapter_config.json` }]],
    ['a prefix that climbs out', 'bundle-name', [{ ...config, prefix: '..' }]],
    ['a folder that climbs out', 'bundle-name', [{ name: '../x/', type: '5' }, config]],
    ['a control character in a name', 'bundle-name', [{ ...config, name: 'a\u001B[31m/adapter_config.json' }]],
    ['a hidden folder as a prompt', 'bundle-name', [{ ...config, name: '.git/adapter_config.json' }]],
    ['a device name of Windows as a prompt', 'bundle-name', [{ ...config, name: 'con.x/adapter_config.json' }]],
    ['a symbolic link', 'bundle-link', [{ name: 'adapter_config.json', type: '2', link: '/etc/passwd' }]],
    ['a symbolic link inside the tree', 'bundle-link', [{ name: 'a', type: '2', link: 'b' }]],
    ['a hard link (CVE-2026-23745)', 'bundle-link', [{ name: 'adapter_config.json', type: '1', link: '../x' }]],
    ['a device', 'bundle-type', [{ name: 'adapter_config.json', type: '3' }]],
    ['a pipe', 'bundle-type', [{ name: 'adapter_config.json', type: '6' }]],
    ['a sparse file', 'bundle-type', [{ name: 'adapter_config.json', type: 'S' }]],
    ['a GNU long name', 'bundle-type', [{ name: '././@LongLink', type: 'L', bytes: utf8('../x') }]],
    ['an unknown type', 'bundle-type', [{ name: 'adapter_config.json', type: 'Q' }]],
    ['a pax header that renames', 'bundle-type', [{ name: 'x', type: 'x', bytes: utf8('21 path=../../escape\n') }, config]],
    ['a pax header that resizes', 'bundle-type', [{ name: 'x', type: 'g', bytes: utf8('20 size=99999999999\n') }, config]],
    ['a name twice', 'bundle-duplicate', [config, config]],
    ['a name twice, once with ./', 'bundle-duplicate', [config, { ...config, name: './adapter_config.json' }]],
    ['a name twice but for its case', 'bundle-duplicate', [config, { ...config, name: 'ADAPTER_config.json' }]],
    [
      'a name twice but for its Unicode form',
      'bundle-duplicate',
      [
        { ...config, name: 'u\u0308/a' },
        { ...config, name: '\u00fc/a' },
      ],
    ],
    ['two prompts that differ in case', 'bundle-duplicate', [{ ...config, name: 'A/adapter_config.json' }, { name: 'a/README.md' }]],
    ['a size beyond the file', 'bundle-truncated', [{ ...config, size: '77777777777\0' }]],
    ['a negative size', 'bundle-number', [{ ...config, size: '-0000000001\0' }]],
    ['a size in base 256', 'bundle-number', [{ ...config, size: '\u0080\0\0\0\0\0\0\0\0\0' }]],
    ['a broken checksum', 'bundle-checksum', [{ ...config, breakSum: true }]],
    [
      'a second archive behind the end',
      'bundle-trailing',
      [config],
      joined(new Uint8Array(1024), archive([{ ...config, name: 'b/adapter_config.json' }])),
    ],
    ['junk behind the end', 'bundle-trailing', [config], new Uint8Array(2048).fill(1, 1500)],
    ['no end', 'bundle-truncated', [config], new Uint8Array()],
    ['too many entries', 'bundle-entries', Array.from({ length: 4097 }, (_, index) => ({ name: `f${index}` }))],
  ]
  it.each(attacks)('%s', (...[, code, entries, tail]: Attack) => {
    expect(() => parseBundle(zipped(entries, tail))).toThrow(refusal(code))
  })

  it('a name that is not UTF-8', () => {
    const bytes = archive([config])
    bytes[3] = 0xff
    const sum = bytes.subarray(0, 512).reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0)
    bytes.set(utf8(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
    expect(() => parseTar(bytes)).toThrow(refusal('bundle-name'))
  })

  it('a setuid bit means nothing: files are bytes in memory', () => {
    expect(parseTar(archive([{ ...config, mode: '0006755' }]))).toEqual([{ name: 'adapter_config.json', bytes: utf8('{}') }])
  })

  it('a pickle is kept out of nothing: it is there to be refused by name, never read', () => {
    expect([
      ...(parseBundle(zipped([config, { name: 'adapter_model.bin', bytes: utf8('x') }]))
        .get('')
        ?.keys() ?? []),
    ]).toContain('adapter_model.bin')
  })

  it('a bomb: refused before it unpacks', () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(100e6), { level: 9 }))
    const before = process.memoryUsage().arrayBuffers
    const began = performance.now()
    expect(() => parseBundle(bomb)).toThrow(refusal('bundle-bomb'))
    expect(performance.now() - began).toBeLessThan(1000)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100e6)
  })

  it('bytes behind the gzip stream', () => {
    expect(() => parseBundle(joined(formatBundle(single), new Uint8Array(20)))).toThrow(refusal('bundle-trailing'))
    expect(() => parseBundle(joined(formatBundle(single), utf8('junk')))).toThrow(/bundle/)
  })

  it('a second gzip stream cannot hide an archive', () => {
    expect(() => parseBundle(joined(formatBundle(single), formatBundle(pack)))).toThrow(refusal('bundle-trailing'))
  })

  it('truncated at every tenth of the way, and with a changed byte', () => {
    const bytes = formatBundle(single)
    for (let tenth = 0; tenth < 10; tenth++) {
      expect(() => parseBundle(bytes.subarray(0, Math.floor((bytes.length * tenth) / 10)))).toThrow(refusal('bundle-gzip'))
    }
    expect(() => parseBundle(bytes.with(600, (bytes[600] as number) ^ 1))).toThrow(refusal('bundle-gzip'))
  })

  it('a bundle that is too large is not opened', async () => {
    const path = join(dir, 'large.tar.gz')
    await writeFile(path, '')
    const { truncate } = await import('node:fs/promises')
    await truncate(path, 64 * 2 ** 20 + 1)
    await expect(readBundle(path)).rejects.toThrow(refusal('bundle-size'))
  })

  it('nothing of a refused name is written by us either', () => {
    expect(() => formatTar([{ name: '../x', bytes: new Uint8Array() }])).toThrow(refusal('bundle-name'))
    expect(() => formatTar([{ name: 'x'.repeat(101), bytes: new Uint8Array() }])).toThrow(refusal('bundle-name'))
    const twins = ['a', 'A'].map((name) => ({ name, bytes: new Uint8Array() }))
    expect(() => formatTar(twins)).toThrow(refusal('bundle-duplicate'))
    for (const folder of ['..', 'a/b', '.x', 'nul', 'C:'])
      expect(() => formatBundle(new Map([[folder, files]]))).toThrow(refusal('bundle-name'))
  })

  it('is not gzip', () => {
    expect(() => parseBundle(noGzip)).toThrow(refusal('bundle-gzip'))
    expect(() => parseBundle(new Uint8Array())).toThrow(refusal('bundle-gzip'))
  })
})
