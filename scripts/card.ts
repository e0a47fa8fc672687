/** `soft-prompts card DIR`: writes the model card of a prompt. */
import { adviseLicense } from '../src/card/licenses.ts'
import { command, type Command } from './cli/command.ts'

export const card: Command = command({
  name: 'card',
  summary: 'Write the model card of a prompt folder from its manifest and log; what you wrote in it stays.',
  args: [{ name: 'dir', help: 'folder of the prompt, or pack of several' }],
  flags: {
    repo: { kind: 'string', value: 'owner/name', help: 'repository that the snippets name' },
    license: { kind: 'string', value: 'id', help: 'licence, such as apache-2.0' },
    language: { kind: 'strings', value: 'code', help: 'languages' },
    model: {
      kind: 'string',
      value: 'id|dir',
      help: 'base model: find the nearest words of the virtual tokens in it, where they are not on record',
    },
    check: {
      kind: 'string',
      value: 'id|dir',
      help: "base model's ONNX files: check the prompt on each encoder there, float and quantised",
    },
    preview: { kind: 'string', value: 'file.html', help: 'write the page as the Hub would show it, and nothing else' },
    print: { kind: 'boolean', help: 'print the card and write nothing' },
  },
  examples: [
    'soft-prompts card ./my-prompt --repo me/t5-small-sst2 --license apache-2.0 --language en',
    'soft-prompts card ./my-prompt --model ./t5-small --check ./t5-small',
    'soft-prompts card ./my-prompt --preview card.html',
  ],
  async run([dir = ''], { repo, license, language, model, check, preview, print }, out) {
    const doubt = license === undefined ? undefined : adviseLicense(license)
    if (doubt !== undefined) out.note(`warning: ${doubt}`)
    const { renderCardFiles, writeCard } = await import('../adapters/compose/card.ts')
    const options = {
      ...(repo === undefined ? {} : { repo }),
      ...(license === undefined ? {} : { license }),
      ...(language === undefined ? {} : { language }),
      ...(model === undefined ? {} : { model }),
      ...(check === undefined ? {} : { check }),
    }
    if (preview !== undefined) {
      const { previewCard } = await import('../adapters/compose/preview.ts')
      const { replaceFile } = await import('../adapters/disk/replace.ts')
      await replaceFile(preview, await previewCard(await renderCardFiles(dir, options), dir))
      out.line(`wrote ${preview}`)
      out.result({ written: [preview] })
      return
    }
    if (print) {
      const files = await renderCardFiles(dir, options)
      out.line(files.get('README.md') ?? '')
      out.result(Object.fromEntries(files))
      return
    }
    const written = await writeCard(dir, options)
    out.line(written.length === 0 ? 'The card is up to date.' : written.map((name) => `wrote ${dir}/${name}`).join('\n'))
    out.result({ written })
  },
})
