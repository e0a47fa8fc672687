/** `export MODEL DIR`: the base model as ONNX files for transformers.js. */
import { command, type Command } from './cli/command.ts'

export const exportCommand: Command = command({
  name: 'export',
  summary: 'Write a T5 checkpoint as ONNX files in the transformers.js layout.',
  args: [
    { name: 'model', help: 'folder with config.json and model.safetensors' },
    { name: 'dir', help: 'folder to write (may be the same)' },
  ],
  flags: {},
  examples: ['soft-prompts export models/t5-tiny-en ./t5-tiny-en-onnx'],
  run: async ([model, dir], _flags, out) => {
    const { exportOnnx } = await import('../adapters/compose/export.ts')
    const files = await exportOnnx(model as string, dir as string)
    out.table(
      ['file', 'bytes'],
      files.map(({ path, sizeBytes }) => [path, sizeBytes]),
    )
    out.result({ dir, files })
  },
})
