/** One operation in a process of its own, so that it can be killed or run beside others: `node child.js '{"op":"pull",…}'`. */
import { pullPrompt, type PullOptions } from '../../adapters/hub/pull.ts'
import { pushPrompt, type PushOptions } from '../../adapters/hub/push.ts'
import { startHub, type HubOptions } from '../../adapters/hub/server/start.ts'

type Task = ({ op: 'pull' } & PullOptions) | ({ op: 'push' } & PushOptions) | ({ op: 'hub' } & HubOptions)

async function perform(task: Task): Promise<unknown> {
  if (task.op === 'pull') return pullPrompt(task)
  if (task.op === 'push') return pushPrompt(task)
  const { url, port } = await startHub(task)
  return { url, port }
}

const result = await perform(JSON.parse(process.argv[2] ?? '') as Task).catch((error: unknown) => ({ error: String(error) }))
process.stdout.write(`${JSON.stringify(result)}\n`)
