/** The road on the embedded base, stage by stage: export, train, write, push, pull, attach, answer. No network; each stage is held to its word. */
import { createHash } from 'node:crypto'
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { exportOnnx } from '../../adapters/compose/export.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { pullRepository } from '../../adapters/compose/pull.ts'
import { pushFolder } from '../../adapters/compose/push.ts'
import { startHub } from '../../adapters/hub/server/start.ts'
import type { Metric } from '../../src/prompt/manifest.ts'
import type { Output } from '../cli/output.ts'
import { expectThat, stages, type StageReport } from './stage.ts'
import {
  expectLearned,
  formatAccuracy,
  readRows,
  RECIPE,
  shuffledRows,
  trained,
  untuned,
  type ExampleTask,
  type Place,
  type Trained,
} from './tasks.ts'

export interface TaskReport {
  readonly task: string
  readonly rows: number
  readonly before: Metric
  readonly control: Metric
  readonly after: Metric
  readonly bestStep: number
  readonly steps: number
  readonly stepsPerSecond: number
}

export interface RoadReport {
  readonly tasks: readonly TaskReport[]
  readonly answers: readonly { readonly text: string; readonly prompt: string | null; readonly answer: string }[]
  readonly stages: readonly StageReport[]
  readonly ms: number
}

/** Rows of each task in the batch that is asked by generation. */
const ASKED = 4
const OWNER = 'quickstart'
const TOKEN = 'hf_quickstart'

const total = (sizes: readonly { readonly sizeBytes: number }[]): number => sizes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
const sha256 = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex')

/** Files of a prompt folder, without the run's checkpoint. */
async function filesOf(dir: string): Promise<{ name: string; sizeBytes: number }[]> {
  const items = await readdir(dir, { withFileTypes: true })
  return Promise.all(
    items.filter((item) => item.isFile()).map(async ({ name }) => ({ name, sizeBytes: (await stat(join(dir, name))).size })),
  )
}

/**
 * Runs the road and returns its figures.
 * @throws {MismatchError} `quickstart-stage`, naming the first stage that does not do what it says
 */
export async function road(tasks: readonly ExampleTask[], place: Place, out: Output): Promise<RoadReport> {
  const start = performance.now()
  const { run, reports } = stages(out)

  await run('export', async () => {
    const files = (await exportOnnx(place.model, place.model, { overwrite: true })).filter(({ path }) => path.endsWith('.onnx'))
    expectThat(files.length === 2, 'ONNX files written', 2, files.length)
    return { value: files, what: files.map(({ path }) => path).join(', '), sizeBytes: total(files) }
  })

  const reportsByTask: TaskReport[] = []
  const runs: Trained[] = []
  for (const task of tasks) {
    const before = await untuned(task, place)
    const learned = await run(`train ${task.name}`, async () => {
      const value = await trained(task, task.name, place, out)
      const { accuracy, stepsPerSecond } = value
      return {
        value,
        what: `${RECIPE.steps} steps of ${RECIPE.batch}, ${stepsPerSecond.toFixed(1)} steps/s, accuracy ${formatAccuracy(accuracy)}`,
      }
    })
    const control = await run(`control ${task.name}`, async () => {
      const { accuracy } = await trained(task, join('shuffled', task.name), place, out, await shuffledRows(task, place))
      expectLearned(task.name, learned.accuracy, before, accuracy)
      return {
        value: accuracy,
        what: `the same with shuffled answers, accuracy ${formatAccuracy(accuracy)}; untuned base ${formatAccuracy(before)}`,
      }
    })
    const { accuracy: after, bestStep, stepsPerSecond } = learned
    reportsByTask.push({ task: task.name, rows: after.n, before, control, after, bestStep, steps: RECIPE.steps, stepsPerSecond })
    runs.push(learned)
  }

  await run('write', async () => {
    for (const { dir, result } of runs) {
      const [kept, read] = [result.prompt?.embeddings.data, (await openPrompt(dir)).embeddings.data]
      expectThat(
        kept?.length === read.length && read.every((x, index) => x === kept[index]),
        `${dir} read back`,
        'the trained numbers',
        'others',
      )
    }
    const files = (await Promise.all(runs.map(({ dir }) => filesOf(dir)))).flat()
    return { value: files, what: `${runs.length} artifacts, ${files.length} files, read back to the bit`, sizeBytes: total(files) }
  })

  const hub = await startHub({ dir: join(place.out, 'hub'), tokens: { [TOKEN]: { name: OWNER, role: 'write', orgs: [] } } })
  const access = { hubUrl: hub.url, token: TOKEN }
  let pulled: string[]
  try {
    await run('push', async () => {
      let sizeBytes = 0
      for (const [index, { name }] of tasks.entries()) {
        const { plan, commit } = await pushFolder({
          dir: (runs[index] as Trained).dir,
          repo: `${OWNER}/${name}`,
          writeCard: true, // what is pulled is held against the folder
          ...access,
        })
        expectThat(
          commit !== undefined && plan.add.includes('adapter_model.safetensors'),
          `push of ${name}`,
          'a commit',
          JSON.stringify(plan),
        )
        sizeBytes += plan.sendBytes
      }
      return { value: undefined, what: `${tasks.length} repositories to ${hub.url}`, sizeBytes }
    })
    pulled = await run('pull', async () => {
      let sizeBytes = 0
      const dirs: string[] = []
      for (const [index, { name }] of tasks.entries()) {
        const dir = join(place.out, 'pulled', name)
        const { files, downloadedBytes } = await pullRepository({
          repo: `${OWNER}/${name}`,
          out: dir,
          force: true,
          cacheDir: join(place.out, 'cache'),
          ...access,
        })
        for (const { path } of files) {
          const [was, is] = await Promise.all([sha256(join((runs[index] as Trained).dir, path)), sha256(join(dir, path))])
          expectThat(was === is, `sha256 of ${name}/${path}`, was, is)
        }
        expectThat(files.length > 3, `files of ${name}`, 'config, tensor, manifest, card', files.map(({ path }) => path).join(', '))
        sizeBytes += downloadedBytes
        dirs.push(dir)
      }
      return { value: dirs, what: `into ${join(place.out, 'pulled')}, every sha256 the same`, sizeBytes }
    })
  } finally {
    await hub.close()
  }

  const pipe = await run('attach', async () => {
    const value = await loadPrompted(Object.fromEntries(tasks.map(({ name }, index) => [name, pulled[index] as string])), {
      base: place.model,
      ...(place.threads ? { session_options: { intraOpNumThreads: place.threads } } : {}),
    })
    return { value, what: `one transformers.js pipeline with the prompts ${value.bank.names.join(', ')}` }
  })
  try {
    const dev = await Promise.all(tasks.map(async ({ name, devFile }) => ({ name, rows: await readRows(devFile) })))
    await run('classify', async () => {
      // Rows of all tasks in turn, so that each batch mixes the prompts.
      const mixed = dev.flatMap(({ name, rows }) => rows.map((row, at) => ({ ...row, name, at }))).toSorted((a, b) => a.at - b.at)
      const answers = await pipe.classify(
        mixed.map(({ input }) => input),
        { soft_prompt: mixed.map(({ name }) => name) },
      )
      for (const { task, after } of reportsByTask) {
        const right = mixed.filter(({ name, target }, row) => name === task && answers[row]?.[0]?.label === target).length
        const wanted = Math.round(after.value * after.n)
        // Batches differ from the training's in their padding: the last bit of a tie may fall the other way.
        expectThat(Math.abs(right - wanted) <= 1, `rows of ${task} answered right by the pulled prompt`, `${wanted} of ${after.n}`, right)
      }
      return { value: undefined, what: `${mixed.length} rows, prompts mixed in each batch: the accuracies of the training` }
    })
    const answers = await run('answer', async () => {
      const asked = Array.from({ length: ASKED }, (_, at) =>
        dev.map(({ name, rows }) => ({ text: rows[at]?.input ?? '', prompt: name as string | null })),
      ).flat()
      asked.splice(2, 0, { text: asked[0]?.text ?? '', prompt: null })
      const ask = async (rows: typeof asked): Promise<string[]> =>
        (
          await pipe(
            rows.map(({ text }) => text),
            { soft_prompt: rows.map(({ prompt }) => prompt), max_new_tokens: 8 },
          )
        ).map(({ generated_text: text }) => text)
      const together = await ask(asked)
      for (const [row, one] of asked.entries()) {
        const [alone] = await ask([one])
        expectThat(together[row] === alone, `answer to "${one.text}" in the batch`, `the answer alone, "${alone}"`, `"${together[row]}"`)
      }
      const value = asked.map((row, index) => Object.assign(row, { answer: together[index] as string }))
      return { value, what: `${asked.length} rows in one batch, ${tasks.length} prompts and one row without: as one by one` }
    })
    return { tasks: reportsByTask, answers, stages: reports, ms: performance.now() - start }
  } finally {
    await pipe.dispose()
  }
}
