/**
 * Trouble at a process's Nth change of the disk: `KILL_AT=N node --import ./disk-trouble.mjs …` kills it with -9, with `FULL_AT=N` the disk is full from then on.
 * A write stops half-way, all else just before it. With every N, a test sees all that trouble at any moment can leave.
 */
import fs from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

const killAt = Number(process.env['KILL_AT'])
const fullAt = Number(process.env['FULL_AT'])
const real = { ...fs }
let changes = 0

/** @param {() => unknown} half does half of the change */
function change(needsRoom, half) {
  changes += 1
  const [isKilled, isFull, isFirst] = [changes === killAt, changes >= fullAt && needsRoom, changes === fullAt]
  if (isKilled || (isFull && isFirst)) half() // which may count as a change itself
  if (isKilled) process.kill(process.pid, 'SIGKILL')
  if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', errno: -28, syscall: 'write' })
}

/** @param {unknown} content */
const halfOf = (content) => {
  const bytes = ArrayBuffer.isView(content)
    ? Buffer.from(content.buffer, content.byteOffset, content.byteLength)
    : Buffer.from(String(content))
  return bytes.subarray(0, bytes.length >> 1)
}

/** What half of a change is, by the function's name; given what it was called with. */
const NEEDS_ROOM = {
  mkdir: () => {},
  symlink: () => {},
  copyFile: (from, to) => real.writeFileSync(to, halfOf(real.readFileSync(from))),
  writeFile: (path, content) => real.writeFileSync(path, halfOf(content)),
  appendFile: (path, content) => real.appendFileSync(path, halfOf(content)),
}
const NEEDS_NONE = { rename: () => {}, rm: () => {}, rmdir: () => {}, truncate: () => {}, unlink: () => {} }

/** Puts trouble before a function. @param half given what it was called with, and its `this` */
function watch(holder, name, needsRoom, half, isChange = () => true) {
  const original = holder[name]
  holder[name] = function (...given) {
    try {
      if (isChange(...given)) change(needsRoom, () => half.apply(this, given))
    } catch (error) {
      if (name.endsWith('Sync')) throw error
      return Promise.reject(error)
    }
    return original.apply(this, given)
  }
}

for (const halves of [NEEDS_ROOM, NEEDS_NONE]) {
  for (const [name, half] of Object.entries(halves)) {
    watch(promises, name, halves === NEEDS_ROOM, half)
    watch(fs, `${name}Sync`, halves === NEEDS_ROOM, half)
  }
}
const isWritten = (_, flag) => flag !== undefined && flag !== 'r'
watch(promises, 'open', true, () => {}, isWritten)
watch(fs, 'openSync', true, () => {}, isWritten)

const handle = await promises.open(import.meta.filename)
const prototype = Object.getPrototypeOf(handle)
await handle.close()
for (const name of ['write', 'writeFile', 'appendFile']) {
  watch(prototype, name, true, function (content) {
    real.writeSync(this.fd, halfOf(content))
  })
}
syncBuiltinESMExports()
