#!/usr/bin/env node
/** `pull-prompt OWNER/NAME`, also `soft-prompts pull`. */
import { runIfMain } from './cli/bin.ts'
import { command, said, type Command } from './cli/command.ts'

export const pull: Command = command({
  name: 'pull',
  summary:
    'Pull a prompt from the Hub into the shared cache, every byte verified; what is damaged there is fetched again. Prints its folder.',
  args: [{ name: 'repo', help: 'repository: OWNER/NAME (OWNER/NAME#FOLDER for a prompt in a folder of it), or the address of its page' }],
  flags: {
    revision: { kind: 'string', value: 'rev', help: 'branch, tag or commit (default: main)' },
    out: { kind: 'string', value: 'dir', help: 'write the prompt to this folder too' },
    bundle: { kind: 'string', value: 'file', help: 'write the prompt to this .tar.gz too' },
    force: { kind: 'boolean', help: 'replace another prompt that lies in --out' },
    base: { kind: 'string', choices: ['onnx', 'weights'], value: 'parts', help: "fetch the base model's files too" },
    save: { kind: 'boolean', help: 'pin what was pulled in the lock file, with --base the model too' },
    frozen: { kind: 'boolean', help: 'pull exactly what the lock file pins, or fail' },
    lockFile: { kind: 'string', value: 'file', help: 'the lock file', default: 'prompts.lock.json' },
    check: { kind: 'boolean', help: 'ask the Hub for its list again and hash every cached file, large ones and those of --base too' },
    offline: {
      kind: 'boolean',
      help: 'use what was pulled before, ask nobody (also HF_HUB_OFFLINE=1): the cache and its list of digests are trusted, but for --frozen',
    },
  },
  examples: [
    'pull-prompt me/t5-small-sst2',
    'pull-prompt me/t5-small-sst2 --out ./prompts/sst2 --save --base onnx',
    'pull-prompt me/t5-small-sst2 --frozen --base onnx',
  ],
  async run([named = ''], flags, out) {
    const { pullRepository } = await import('../adapters/compose/pull.ts')
    const { placeOfAddress } = await import('../adapters/hub/named-place.ts')
    const place = placeOfAddress(named, flags.revision) ?? { repo: named, ...said({ revision: flags.revision }) }
    const { repo } = place
    const { bundle, out: target, base, force = false, save = false, frozen = false, check = false, lockFile, offline } = flags
    const pulled = await pullRepository({
      ...place,
      force,
      frozen,
      check,
      ...(save || frozen ? { lockFile } : {}),
      ...(target === undefined ? {} : { out: target }),
      ...(bundle === undefined ? {} : { bundle }),
      ...(offline === undefined ? {} : { offline }),
    })
    const size = (pulled.downloadedBytes / 1024).toFixed(1)
    out.note(
      `${repo} at ${pulled.commit}: ${pulled.files.length} files, ${pulled.downloadedBytes === 0 ? 'all in the cache' : `${size} KB downloaded`}`,
    )
    out.line(pulled.dir)
    if (base === undefined) return out.result(pulled)
    const { pullBase } = await import('../adapters/compose/pull-base.ts')
    const { transferView } = await import('./cli/transfer.ts')
    const view = transferView(out, 'base model')
    const baseDir = await pullBase(pulled.dir, base, {
      frozen,
      check,
      onProgress: view.onProgress,
      ...(save || frozen ? { lockFile } : {}),
      ...(offline === undefined ? {} : { offline }),
    }).finally(view.stop)
    out.line(baseDir)
    out.result({ ...pulled, baseDir })
  },
})

void runIfMain(import.meta.filename, 'pull-prompt', pull)
