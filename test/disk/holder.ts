/** Holds a lock, and answers each line on standard input with what came of a write under it: `node holder.js PATH`. */
import { SoftPromptError } from '../../src/errors.ts'
import { tryLock } from '../../adapters/disk/lock.ts'

const lock = await tryLock(process.argv[2] ?? '')
const say = (text: string): void => void process.stdout.write(`${text}\n`)
say(lock ? 'held' : 'taken')
process.stdin.on('data', () => {
  const written = lock ? lock.check().then(() => 'written') : Promise.resolve('taken')
  written.catch((error: unknown) => (error instanceof SoftPromptError ? error.code : String(error))).then(say, () => {})
})
