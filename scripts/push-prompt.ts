#!/usr/bin/env node
/** `push-prompt DIR OWNER/NAME`, also `soft-prompts push`. */
import { adviseLicense } from '../src/card/licenses.ts'
import { runIfMain } from './cli/bin.ts'
import { command, type Command } from './cli/command.ts'

/** Steps that may take a while, or that change something. */
const STEPS: Readonly<Record<string, string>> = { creating: 'making', branching: 'making a branch of', sending: 'sending one commit to' }

export const push: Command = command({
  name: 'push',
  summary: 'Push a prompt folder to the Hub as one commit; nothing is sent when nothing changed.',
  args: [
    { name: 'dir', help: 'folder of the prompt, or its .tar.gz (PATH#NAME for one of a pack)' },
    { name: 'repo', help: 'repository, as OWNER/NAME; made if it does not exist' },
  ],
  flags: {
    private: { kind: 'boolean', help: 'make the repository private, if it is made' },
    message: { kind: 'string', value: 'text', help: 'commit message' },
    branch: { kind: 'string', value: 'name', help: 'branch to commit to', default: 'main' },
    pr: { kind: 'boolean', help: 'open a pull request instead' },
    dryRun: { kind: 'boolean', help: 'show what would be sent' },
    license: { kind: 'string', value: 'id', help: 'licence to name in the card, such as apache-2.0' },
    language: { kind: 'strings', value: 'code', help: 'languages to name in the card' },
    baseId: {
      kind: 'string',
      value: 'owner/name',
      help: "the base model's Hub id, where the prompt names it otherwise; the folder stays as it is",
    },
    localBase: { kind: 'boolean', help: 'push though the base model has no Hub id, for those who have a folder of its name' },
    keepCard: { kind: 'boolean', help: 'send README.md as it is; else the card is made for the repository' },
    writeCard: { kind: 'boolean', help: 'write the card that is sent into the folder too' },
  },
  examples: [
    'push-prompt ./my-prompt me/t5-small-sst2',
    'push-prompt ./my-prompt me/t5-small-sst2 --base-id google-t5/t5-small',
    'push-prompt ./my-prompt team/sst2 --private --message "Train longer"',
  ],
  async run([dir = '', named = ''], flags, out) {
    const { pushFolder } = await import('../adapters/compose/push.ts')
    const { placeOfAddress } = await import('../adapters/hub/named-place.ts')
    const repo = placeOfAddress(named, flags.branch)?.repo ?? named
    const doubt = flags.license === undefined ? undefined : adviseLicense(flags.license)
    if (doubt !== undefined) out.note(`warning: ${doubt}`)
    const pushed = await pushFolder({
      dir,
      repo,
      branch: flags.branch,
      pullRequest: flags.pr ?? false,
      dryRun: flags.dryRun ?? false,
      localBase: flags.localBase ?? false,
      keepCard: flags.keepCard ?? false,
      writeCard: flags.writeCard ?? false,
      onStep: (step) => void (STEPS[step] && out.note(`${STEPS[step]} ${repo}`)),
      ...(flags.baseId === undefined ? {} : { baseId: flags.baseId }),
      ...(flags.private === undefined ? {} : { private: flags.private }),
      ...(flags.message === undefined ? {} : { message: flags.message }),
      ...(flags.license === undefined ? {} : { license: flags.license }),
      ...(flags.language === undefined ? {} : { language: flags.language }),
    })
    const { add, change, remove, sendBytes } = pushed.plan
    for (const note of pushed.notes) out.note(`note: ${note}`)
    for (const name of pushed.written) out.line(`wrote ${name}`)
    for (const [mark, paths] of [
      ['+', add],
      ['~', change],
      ['-', remove],
    ] as const)
      for (const path of paths) out.line(`${mark} ${path}`)
    const changes = add.length + change.length + remove.length
    const size = `${changes} file${changes === 1 ? '' : 's'}, ${(sendBytes / 1024).toFixed(1)} KB`
    if (flags.dryRun)
      out.line(changes === 0 ? 'Nothing to send.' : `Would send ${size} to ${pushed.url}${pushed.created ? ' (to be created)' : ''}.`)
    else if (changes === 0) out.line(`Nothing changed: ${pushed.url} is at ${pushed.commit}.`)
    else out.line(`Sent ${size}: ${pushed.pullRequestUrl ?? `${pushed.url}/tree/${pushed.branch}`} at ${pushed.commit}.`)
    out.result(pushed)
  },
})

void runIfMain(import.meta.filename, 'push-prompt', push)
