/** `soft-prompts 0.1.0`: what a manifest says made it, from the package's own package.json. */
import { readFile } from 'node:fs/promises'

/** Undefined where the code was bundled away from its package.json. */
export async function createdBy(): Promise<string | undefined> {
  for (let at = new URL('./', import.meta.url); ; at = new URL('../', at)) {
    const text = await readFile(new URL('package.json', at), 'utf8').catch(() => '{}')
    const { name, version } = JSON.parse(text) as { name?: string; version?: string }
    if (name === 'soft-prompts' && version !== undefined) return `${name} ${version}`
    if (at.pathname === new URL('../', at).pathname) return undefined
  }
}
