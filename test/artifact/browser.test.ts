/** The formats run where there is no Node: no node:* module, no global of Node's, sha256 from WebCrypto. */
import { readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { checkHashes, formatArtifact, parseArtifact } from '../../adapters/artifact/artifact.ts'
import { sha256 as nodeSha256 } from '../../adapters/artifact/folder.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A module and all it imports: its files, and the packages outside. */
function closure(start: string): { readonly files: Set<string>; readonly packages: Set<string> } {
  const files = new Set<string>()
  const packages = new Set<string>()
  const visit = (file: string): void => {
    if (files.has(file)) return
    files.add(file)
    const text = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '')
    for (const [, type, specifier = ''] of text.matchAll(/^(?:import|export)\s+(type\s)?[^'"]*?from\s+'([^']+)'/gm)) {
      if (type !== undefined) continue
      if (specifier.startsWith('.')) visit(resolve(dirname(file), specifier))
      else packages.add(specifier)
    }
  }
  visit(resolve(root, start))
  return { files, packages }
}

const MODULES: Readonly<Record<string, readonly string[]>> = {
  // The main entry loads no package at all: it is there at once.
  'src/index.ts': [],
  'adapters/artifact/index.ts': ['valibot'],
  'adapters/peft/peft.ts': [],
  'adapters/google/npy.ts': [],
  'adapters/tar/tar.ts': [],
  'adapters/onnx-adapter/onnx-adapter.ts': [],
}

/** WebCrypto's. */
const sha256 = async (bytes: Uint8Array): Promise<string> =>
  [...new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes)))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')

describe('in a browser', () => {
  it.each(Object.keys(MODULES))('%s and all it imports know no Node', (start) => {
    const { files, packages } = closure(start)
    expect(files.size).toBeGreaterThan(1)
    expect([...packages].toSorted()).toEqual(MODULES[start])
    const users = [...files].filter((file) => {
      const code = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'|`[^`]*`/g, '')
      return /\b(?:Buffer|process|require|__dirname|setImmediate)\b/.test(code)
    })
    expect(users.map((file) => relative(root, file))).toEqual([])
  })

  it('training imports nothing of Node, and no runtime', () => {
    const { files, packages } = closure('adapters/compose/browser-train.ts')
    expect(files.size).toBeGreaterThan(40)
    expect([...packages].toSorted()).toEqual(['@huggingface/tokenizers', 'valibot'])
  })

  it('WebCrypto hashes as node:crypto does', async () => {
    const prompt = softPrompt(tensor('F32', [2, 3], Float32Array.of(1, -2, 3, 4.5, 0, 1e-3)), { base: { id: 'google-t5/t5-small' } })
    const files = await formatArtifact(prompt, { sha256 })
    expect(files).toEqual(await formatArtifact(prompt, { sha256: nodeSha256 }))
    const back = parseArtifact(files)
    await checkHashes(files, back.manifest, sha256)
    expect(back.embeddings).toEqual(prompt.embeddings)
    const changed = new Map(
      [...files].map(([name, bytes]) => [name, name.endsWith('.safetensors') ? bytes.with(bytes.length - 1, 1) : bytes]),
    )
    await expect(checkHashes(changed, back.manifest, sha256)).rejects.toThrow(expect.objectContaining({ code: 'artifact-hash' }))
  })
})
