/** `soft-prompts search`: prompts on the Hub. */
import type { FoundPrompt } from '../adapters/hub/search.ts'
import { command, type Command } from './cli/command.ts'
import { percent } from './cli/figures.ts'

/** Shares as percents; others write percents themselves, or what is no share. */
const scoreText = ({ metric, value }: NonNullable<FoundPrompt['score']>): string =>
  `${metric} ${value >= 0 && value <= 1 ? `${percent(value)} %` : Number(value.toPrecision(4))}`

export const search: Command = command({
  name: 'search',
  summary: 'List the soft prompts on the Hub, the latest change first.',
  args: [{ name: 'words', help: 'words of the name', optional: true }],
  flags: {
    base: { kind: 'string', value: 'owner/name', help: 'prompts for this base model' },
    owner: { kind: 'string', value: 'name', help: 'prompts of this user or organisation' },
    task: { kind: 'string', value: 'id', help: 'prompts for this task, such as text-classification' },
    limit: { kind: 'number', value: 'n', help: 'prompts to list at most', default: 20 },
  },
  examples: ['soft-prompts search --base google-t5/t5-small', 'soft-prompts search sst2 --task text-classification'],
  async run([words], { base, owner, task, limit }, out) {
    const { searchPrompts } = await import('../adapters/hub/search.ts')
    const { readHubEnvironment } = await import('../adapters/hub/environment.ts')
    const found = await searchPrompts({
      ...readHubEnvironment(),
      limit,
      ...(words === undefined ? {} : { query: words }),
      ...(base === undefined ? {} : { base }),
      ...(owner === undefined ? {} : { owner }),
      ...(task === undefined ? {} : { task }),
    })
    if (found.length === 0) out.line('No prompts found.')
    else {
      out.table(
        ['prompt', 'base', 'task', 'tokens', 'KB', 'score', 'downloads', 'updated'],
        found.map(({ repo, base: of = '', task: does = '', length = '', parameters, score, downloads, updated }) => [
          repo,
          of,
          does,
          length,
          parameters === undefined ? '' : Math.ceil((parameters * 4) / 1024),
          score === undefined ? '' : scoreText(score),
          downloads,
          updated.slice(0, 10),
        ]),
      )
    }
    out.result(found)
  },
})
