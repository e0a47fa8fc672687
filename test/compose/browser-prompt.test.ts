/** A page's way to a prompt, in Node: the same code over real HTTP to a local hub, from chosen files, and from bytes. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openPrompt as openInPage } from '../../adapters/compose/browser-prompt.ts'
import { openPrompt } from '../../adapters/compose/open-prompt.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { hub, readFiles, TOKEN } from '../hub/helpers.ts'

const dir = join(import.meta.dirname, '../../hub-cards/examples/sentiment')
const access = { token: TOKEN, repo: 'me/sentiment' }

it("reads a prompt by its Hub id and by its folder's address", async () => {
  const { url: hubUrl } = await hub()
  await pushPrompt({ ...access, hubUrl, dir })
  const expected = await openPrompt(dir)
  for (const prompt of [await openInPage('me/sentiment', { hubUrl }), await openInPage(`${hubUrl}/me/sentiment/resolve/main/`)]) {
    expect(prompt.embeddings).toEqual(expected.embeddings)
    expect(prompt.manifest.template).toBe(expected.manifest.template)
  }
  await expect(openInPage('me/nowhere', { hubUrl })).rejects.toMatchObject({ code: 'prompt-fetch' })
  await expect(openInPage(`${hubUrl}/me/sentiment/resolve/main/nowhere`)).rejects.toMatchObject({ code: 'artifact-file-missing' })
})

it('reads chosen files and bytes, refuses changed ones, and skips files it does not know', async () => {
  const files = await readFiles(dir)
  const chosen = (): File[] => [...files].map(([name, bytes]) => new File([new Uint8Array(bytes)], name))
  const { embeddings } = await openPrompt(dir)
  expect((await openInPage(files)).embeddings).toEqual(embeddings)
  expect((await openInPage([...chosen(), new File(['?'], 'constructor')])).embeddings).toEqual(embeddings)

  const tensor = Buffer.from(files.get('adapter_model.safetensors') as Buffer)
  tensor[tensor.length - 1] = (tensor.at(-1) as number) ^ 1
  await expect(openInPage(new Map([...files, ['adapter_model.safetensors', tensor]]))).rejects.toMatchObject({ code: 'artifact-hash' })
  const long = new File([new Uint8Array((1 << 20) + 1)], 'soft_prompt.json')
  await expect(openInPage([...chosen(), long])).rejects.toMatchObject({ code: 'artifact-file-size' })
})
