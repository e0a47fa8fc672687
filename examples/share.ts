/** Push a prompt to a hub and pull it elsewhere; here to a local hub, else leave `hubUrl` and `token` out (HF_ENDPOINT and HF_TOKEN are read). */
import { startHub } from 'soft-prompts/hub'
import { pullRepository, pushFolder } from 'soft-prompts/node'

export async function share(prompt: string, folder: string): Promise<string> {
  const hub = await startHub({ dir: `${folder}/hub`, tokens: { hf_mine: { name: 'me', role: 'write', orgs: [] } } })
  try {
    const access = { hubUrl: hub.url, token: 'hf_mine' }
    const { url } = await pushFolder({ dir: prompt, repo: 'me/t5-tiny-sentiment', ...access })
    process.stdout.write(`pushed to ${url}\n`)
    const { dir } = await pullRepository({
      repo: 'me/t5-tiny-sentiment',
      out: `${folder}/pulled`,
      cacheDir: `${folder}/cache`,
      ...access,
    })
    return dir
  } finally {
    await hub.close()
  }
}
