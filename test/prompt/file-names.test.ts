/** Names that cannot lie side by side on every disk. */
import { describe, expect, it } from 'vitest'
import { findNameConflict } from '../../src/prompt/file-names.ts'

describe('findNameConflict', () => {
  it.each([
    ['twice', ['a', 'a']],
    ['file-and-folder', ['README.md', 'README.md/x']],
    ['file-and-folder', ['runs/a/b', 'runs/a']],
    ['case', ['runs/A', 'runs/a']],
    ['case', ['Runs/a', 'runs/b']],
    ['case', ['README.md', 'readme.md/x']],
    ['normalisation', ['caf\u00e9', 'cafe\u0301']],
    ['normalisation', ['caf\u00e9/a', 'cafe\u0301/b']],
    ['case', ['CAF\u00c9', 'cafe\u0301']],
    ['device', ['CON']],
    ['device', ['a/aux.txt']],
    ['device', ['com1.tar.gz']],
    ['device', ['LPT\u00b9']],
    ['device', ['nul .txt']],
    ['device', ['con/a']],
    ['ending', ['a.']],
    ['ending', ['a /b']],
  ] as const)('%s: %j', (reason, paths) => {
    expect(findNameConflict(['other', ...paths])).toMatchObject({ reason })
    expect(findNameConflict(paths.slice(0, -1))).toBeUndefined()
  })

  it('finds nothing in what is sound', () => {
    const sound = [
      'README.md',
      'adapter_config.json',
      'runs/a.1',
      'runs/b',
      'run',
      '.gitattributes',
      'con-text.txt',
      'auxiliary',
      'com',
      'com10',
      'a b',
      '...x',
    ]
    expect(findNameConflict(sound)).toBeUndefined()
    expect(findNameConflict([])).toBeUndefined()
  })

  it('says what meets what, on one line, so that code points can be told apart', () => {
    expect(findNameConflict(['a/caf\u00e9', 'a/cafe\u0301'])).toEqual({
      reason: 'normalisation',
      path: 'a/cafe\u0301',
      other: 'a/caf\u00e9',
      words: String.raw`"a/cafe\u0301" and "a/caf\u00e9" are the same letters in other code points, and are one name on many disks`,
    })
    expect(findNameConflict(['x\n\u202e.'])?.words).toBe(
      String.raw`"x\n\u202e." cannot be kept on Windows: "x\n\u202e." ends with a dot or a space`,
    )
  })

  it('takes time by the length of the paths, however deep they are', () => {
    const deep = Array.from({ length: 2000 }, (_, index) => `${'a/'.repeat(500)}${index}`)
    const began = performance.now()
    expect(findNameConflict([...deep, `${'a/'.repeat(500)}7/x`])?.reason).toBe('file-and-folder')
    expect(performance.now() - began).toBeLessThan(20_000)
  })
})
