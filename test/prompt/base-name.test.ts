/** What a base's name says: one answer for every reader, on the names that people and other programs write. */
import { describe, expect, it } from 'vitest'
import { canonicalBase, folderName, hubIdOf, isHubId, isPath, knownWidth, renamePath, shownBase } from '../../src/prompt/base-name.ts'

describe('the name of a base model', () => {
  it.each(['google-t5/t5-small', 'me/x', 'a_b/c.d-e_f', 'Xenova/flan-t5-small', 'me/x.v1'])('%s is a Hub id', (name) => {
    expect([isHubId(name), hubIdOf(name), isPath(name), shownBase(name)]).toEqual([true, name, false, name])
  })

  it.each(['small', 'base', 'large', '3b', '11b'])('t5-%s is known with its owner', (size) => {
    expect(hubIdOf(`t5-${size}`)).toBe(`google-t5/t5-${size}`)
    expect(canonicalBase(`t5-${size}`)).toBe(canonicalBase(`google-t5/t5-${size}`))
    expect(isHubId(`t5-${size}`)).toBe(false)
    expect(isPath(`t5-${size}`)).toBe(false)
  })

  it.each<[string, string]>([
    ['./nope', 'nope'],
    ['../nope', 'nope'],
    ['./', 'base'],
    ['..', 'base'],
    ['/', 'base'],
    ['~', 'base'],
    ['~/models/t5', 't5'],
    ['~somebody', 'base'],
    ['/kaggle/working/models/flan-t5-small', 'flan-t5-small'],
    ['/kaggle/working/models/flan-t5-small/', 'flan-t5-small'],
    ['C:\\Users\\me\\t5', 't5'],
    ['C:/Users/me/t5', 't5'],
    ['C:', 'base'],
    ['models\\t5', 't5'],
    ['a/b/c', 'c'],
    ['a--b/c', 'c'],
    ['a..b/c', 'c'],
    ['.hidden/x', 'x'],
    ['/content/drive/MyDrive/my model', 'my model'],
  ])('%s is a path, and never shown as one', (path, name) => {
    expect([isHubId(path), hubIdOf(path), isPath(path), folderName(path), shownBase(path)]).toEqual([false, undefined, true, name, name])
  })

  it.each(['base', 't5', 't5-tiny-en', 't5-xxl', 'T5-small', 'my model', ''])('%s is a name that says nothing elsewhere', (name) => {
    expect([isHubId(name), hubIdOf(name), isPath(name), shownBase(name)]).toEqual([false, undefined, false, name])
  })

  it('is renamed in a text where it stands whole, and a word is never taken for one', () => {
    const path = '/kaggle/working/t5'
    const card = `base_model: ${path}\nsee ${path}, "${path}" and ${path}-large, /x${path}\n`
    expect(renamePath(card, path)).toBe('base_model: t5\nsee t5, "t5" and /kaggle/working/t5-large, /x/kaggle/working/t5\n')
    expect(renamePath('cd C:\\me\\t5 (mine)', 'C:\\me\\t5', 'me/t5')).toBe('cd me/t5 (mine)')
    for (const word of ['~', '.', './', '/', '\\|', 'base', 'me/t5']) expect(renamePath(`a ${word} b`, word, 'x')).toBe(`a ${word} b`)
    for (const odd of ['a/b: c', 'a/b #c', 'a/b\nc']) expect(renamePath(odd, odd, 'x')).toBe(odd)
    expect(renamePath('name: ../x', ' ../x')).toBe('name: x')
    // A name that YAML would read otherwise.
    expect(renamePath('name: a/|', 'a/|')).toBe('name: base')
  })

  it('knows the width of well-known bases, and of no other', () => {
    const known = ['t5-small', 'google-t5/t5-base', 'google-t5/t5-11b', 'google/flan-t5-xl', 'google/t5-xxl-lm-adapt', 'google/mt5-small']
    expect(known.map(knownWidth)).toEqual([512, 768, 1024, 2048, 4096, 512])
    const others = ['me/t5-small', 'google/t5-efficient-base', 'google/byt5-small', 'google-t5/t5-xl', 'google/t5-base', 't5', '']
    expect(others.filter((name) => knownWidth(name) !== undefined)).toEqual([])
  })
})
