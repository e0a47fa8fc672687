/** Sources are text that every tool shows: no control character but the newline. A raw NUL makes a file binary to diff, grep and review. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const TEXT = /\.(?:ts|mjs|py|sh|md|jsonl?|html|css|svg|snap|pem|ya?ml)$|(?:^|\/)[^.]+$|(?:^|\/)\.[^/]+$/

const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 }).split('\0')
const texts = tracked.filter((name) => TEXT.test(name))

/** Line and code of the first control character. */
function firstControl(text: string): string | undefined {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if ((code >= 32 && code !== 127) || code === 10) continue
    return `line ${text.slice(0, at).split('\n').length}: 0x${code.toString(16)}`
  }
  return undefined
}

it('no tracked text holds a control character', () => {
  expect(texts.length).toBeGreaterThan(400)
  expect(firstControl('a\nb\0')).toBe('line 2: 0x0')
  const found = texts.flatMap((name) => {
    const control = firstControl(readFileSync(join(root, name), 'utf8'))
    return control === undefined ? [] : [`${name}, ${control}`]
  })
  expect(found).toEqual([])
})
