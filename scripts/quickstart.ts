#!/usr/bin/env node
/** `npm run quickstart`: the whole road on the embedded base, with no network: three prompts trained, pushed, pulled and answering in one batch. */
import { command, type Command } from './cli/command.ts'
import { commandLine, main } from './cli/main.ts'

export const quickstart: Command = command({
  name: 'quickstart',
  summary: 'Train three prompts for the embedded base, push them to a local hub, pull them and let them answer in one batch.',
  flags: {
    out: { kind: 'string', value: 'dir', help: 'folder for prompts, hub and cache (default: a new temporary one)' },
    threads: { kind: 'number', value: 'N', help: 'threads (default: all cores)' },
  },
  examples: ['npm run quickstart', 'npm run quickstart -- --out quickstart-output'],
  run: async (_, flags, out) => {
    const { mkdtemp, readdir } = await import('node:fs/promises')
    const { tmpdir } = await import('node:os')
    const { join } = await import('node:path')
    const { road } = await import('./quickstart/road.ts')
    const { showRoad } = await import('./quickstart/show.ts')
    const { projectRoot } = await import('./quickstart/root.ts')
    const root = projectRoot()
    const folder = join(root, 'examples', 'data')
    const names = (await readdir(folder, { withFileTypes: true })).filter((item) => item.isDirectory()).map(({ name }) => name)
    const tasks = names
      .toSorted()
      .map((name) => ({ name, trainFile: join(folder, name, 'train.jsonl'), devFile: join(folder, name, 'dev.jsonl') }))
    const dir = flags.out ?? (await mkdtemp(join(tmpdir(), 'soft-prompts-')))
    out.line(`prompts, hub and cache: ${dir}`)
    const place = { model: join(root, 'models', 't5-tiny-en'), out: dir, ...(flags.threads ? { threads: flags.threads } : {}) }
    const report = await road(tasks, place, out)
    showRoad(report, out)
    out.result({ out: dir, ...report })
  },
})

process.exitCode = await main(commandLine(quickstart), process.argv.slice(2))
