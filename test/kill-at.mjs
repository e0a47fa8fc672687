/**
 * Kills the process with -9 at its Nth change of the disk: `KILL_AT=N node --import ./kill-at.mjs …`. A write stops half-way, all else just before it. A kill
 * at every N sees all that a kill at any moment can leave.
 */
import fs from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

const killAt = Number(process.env['KILL_AT'])
let changes = 0

/** @param {() => unknown} half does half of the change */
function change(half) {
  changes += 1
  if (changes !== killAt) return
  half()
  process.kill(process.pid, 'SIGKILL')
}

/** @param {unknown} content */
const halfOf = (content) => {
  const bytes = ArrayBuffer.isView(content)
    ? Buffer.from(content.buffer, content.byteOffset, content.byteLength)
    : Buffer.from(String(content))
  return bytes.subarray(0, bytes.length >> 1)
}

/** What half of a change is, by the function's name; given what it was called with. */
const HALVES = {
  mkdir: () => {},
  rename: () => {},
  rm: () => {},
  rmdir: () => {},
  symlink: () => {},
  truncate: () => {},
  unlink: () => {},
  copyFile: (from, to) => real.writeFileSync(to, halfOf(real.readFileSync(from))),
  writeFile: (path, content) => real.writeFileSync(path, halfOf(content)),
  appendFile: (path, content) => real.appendFileSync(path, halfOf(content)),
}
const real = { ...fs }

const isWritten = (flag) => flag !== undefined && flag !== 'r'

function watch(holder, names, suffix = '') {
  for (const name of names) {
    const original = holder[name + suffix]
    holder[name + suffix] = function (...given) {
      change(() => HALVES[name](...given))
      return original.apply(this, given)
    }
  }
}

watch(promises, Object.keys(HALVES))
watch(fs, Object.keys(HALVES), 'Sync')
for (const [holder, name] of [
  [promises, 'open'],
  [fs, 'openSync'],
]) {
  const original = holder[name]
  holder[name] = function (path, flag, ...rest) {
    if (isWritten(flag)) change(() => {})
    return original.call(this, path, flag, ...rest)
  }
}
const handle = await promises.open(import.meta.filename)
const prototype = Object.getPrototypeOf(handle)
await handle.close()
for (const name of ['write', 'writeFile', 'appendFile']) {
  const original = prototype[name]
  prototype[name] = function (content, ...rest) {
    change(() => real.writeSync(this.fd, halfOf(content)))
    return original.call(this, content, ...rest)
  }
}
syncBuiltinESMExports()
