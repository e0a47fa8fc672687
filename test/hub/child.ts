/** One operation in a process of its own, so that it can be killed or run beside others: `node child.js '{"op":"pull",…}'`. */
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { pullPrompt, type PullOptions } from '../../adapters/hub/pull.ts'
import { pushPrompt, type PushOptions } from '../../adapters/hub/push.ts'
import { startHub, type HubOptions } from '../../adapters/hub/server/start.ts'

type Task =
  | ({ op: 'pull' } & PullOptions)
  | ({ op: 'push' } & PushOptions)
  | ({ op: 'hub' } & HubOptions)
  /** The same task in several threads at once. */
  | { op: 'threads'; count: number; task: Task }

async function perform(task: Task): Promise<unknown> {
  if (task.op === 'pull') return pullPrompt(task)
  if (task.op === 'push') return pushPrompt(task)
  if (task.op === 'threads') return Promise.all(Array.from({ length: task.count }, () => inThread(task.task)))
  const { url, port } = await startHub(task)
  return { url, port }
}

const inThread = (task: Task): Promise<unknown> =>
  new Promise((resolve, reject) => {
    new Worker(import.meta.filename, { argv: [JSON.stringify(task)] }).once('message', resolve).once('error', reject)
  })

const result = await perform(JSON.parse(process.argv[2] ?? '') as Task).catch((error: unknown) => ({ error: String(error) }))
if (isMainThread) process.stdout.write(`${JSON.stringify(result)}\n`)
else parentPort?.postMessage(result) // oxlint-disable-line unicorn/require-post-message-target-origin -- a thread's has none
