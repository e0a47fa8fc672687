/** `soft-prompts verify X`: every part of a prompt checked, each fault named. */
import { command, type Command } from './cli/command.ts'

export const verify: Command = command({
  name: 'verify',
  summary: 'Check a prompt: files, hashes, shapes, values, manifest; with a model, that it belongs to it.',
  args: [{ name: 'prompt', help: 'folder, .tar.gz bundle or pack, .npy file, or Hub id' }],
  flags: {
    model: { kind: 'string', value: 'id|dir', help: 'base model: folder, Hub id, or encoder .onnx' },
    task: { kind: 'number', value: 'n', help: 'which prompt of a multitask adapter' },
  },
  examples: ['soft-prompts verify ./my-prompt', 'soft-prompts verify sst2.tar.gz --model ./t5-small'],
  async run([path = ''], { model, task }, out) {
    const { verifyPrompts } = await import('../adapters/compose/verify.ts')
    const { MismatchError } = await import('../src/errors.ts')
    const { transferView } = await import('./cli/transfer.ts')
    const download = transferView(out, 'base model')
    const found = await verifyPrompts(path, {
      onDownload: download.onProgress,
      ...(model === undefined ? {} : { model }),
      ...(task === undefined ? {} : { task }),
    }).finally(download.stop)
    for (const { name, checks } of found) {
      if (found.length > 1) out.line(`${name}:`)
      out.table(
        ['check', 'result', 'detail'],
        checks.map((check) => [check.name, check.standing, check.detail]),
      )
    }
    out.result(found)
    const failed = found.flatMap(({ name, checks }) =>
      checks.filter(({ standing }) => standing === 'failed').map((check) => `${name}: ${check.name}`),
    )
    if (failed.length > 0) {
      throw new MismatchError(
        'verify-failed',
        `${failed.length} of ${found.flatMap(({ checks }) => checks).length} checks failed: ${failed.join(', ')}.`,
        {
          facts: { failed },
        },
      )
    }
    out.line(found.length > 1 ? `All ${found.length} prompts are sound.` : 'The prompt is sound.')
  },
})
