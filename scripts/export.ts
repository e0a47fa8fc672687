/** `export MODEL DIR`: the base model as ONNX files for transformers.js. */
import { command, type Command } from './cli/command.ts'

export const exportCommand: Command = command({
  name: 'export',
  summary: 'Write a T5 checkpoint as ONNX files in the transformers.js layout.',
  args: [
    { name: 'model', help: 'folder with config.json and model.safetensors, or a Hub id' },
    { name: 'dir', help: 'folder to write (may be the same)' },
  ],
  flags: {
    revision: { kind: 'string', value: 'commit', help: 'commit or branch of the model on the Hub' },
    overwrite: { kind: 'boolean', help: 'replace ONNX files that are there' },
  },
  examples: [
    'soft-prompts export models/t5-tiny-en ./t5-tiny-en-onnx',
    'soft-prompts export google/t5-base-lm-adapt ./t5-base-lm-adapt-onnx',
  ],
  run: async ([model, dir], { revision, overwrite = false }, out) => {
    const { exportOnnx } = await import('../adapters/compose/export.ts')
    const { transferView } = await import('./cli/transfer.ts')
    const download = transferView(out, 'model')
    const files = await exportOnnx(model as string, dir as string, {
      overwrite,
      onProgress: download.onProgress,
      ...(revision === undefined ? {} : { revision }),
    }).finally(download.stop)
    out.table(
      ['file', 'bytes'],
      files.map(({ path, sizeBytes }) => [path, sizeBytes]),
    )
    out.result({ dir, files })
  },
})
