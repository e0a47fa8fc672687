/** Pull as people mean it: the environment's hub, token and cache; what comes back was read as a prompt. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parsePromptId } from '../../src/prompt/prompt-id.ts'
import { readHubEnvironment } from '../hub/environment.ts'
import { pullPrompt, type Pulled, type PullOptions } from '../hub/pull.ts'
import { openPrompt } from './open-prompt.ts'

export type PullRepositoryOptions = Omit<PullOptions, 'hubUrl' | 'cacheDir' | 'validate'> &
  Partial<Pick<PullOptions, 'hubUrl' | 'cacheDir'>> & {
    /** Write the prompt to this `.tar.gz` too. */
    readonly bundle?: string
  }

/**
 * Pulls a prompt from the Hub; `owner/name#folder` is one that lies in a folder of the repository.
 * @throws {HubError} | {FormatError} and other SoftPromptErrors
 * @example const { dir } = await pullRepository({ repo: 'me/t5-small-sst2' })
 */
export async function pullRepository(options: PullRepositoryOptions): Promise<Pulled> {
  const place = parsePromptId(options.repo) ?? {}
  const pulled = await pullPrompt({ ...readHubEnvironment(), ...options, ...place, validate: openPrompt })
  if (options.bundle !== undefined) {
    const files = await Promise.all(pulled.files.map(async ({ path }) => [path, await readFile(join(pulled.dir, path))] as const))
    // A bundle holds the prompt itself; folders below it (TensorBoard's) stay behind.
    // Loaded only for this: most pulls and pushes see no bundle.
    const { writeBundle } = await import('../tar/bundle.ts')
    await writeBundle(options.bundle, new Map([['', new Map(files.filter(([path]) => !path.includes('/')))]]))
  }
  return pulled
}
