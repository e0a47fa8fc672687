/** `soft-prompts convert FROM TO`: any form into any other, with a report of what is equal and what stayed behind. */
import { command, type Command } from './cli/command.ts'

export const convert: Command = command({
  name: 'convert',
  summary: 'Turn a prompt into another form: folder, .tar.gz bundle or pack, .npy, .onnx_adapter.',
  args: [
    { name: 'from', help: 'folder, .tar.gz bundle or pack (pack.tar.gz#name for one of it), .npy file, or Hub id' },
    { name: 'to', help: 'folder, or a file ending in .tar.gz, .npy or .onnx_adapter' },
  ],
  flags: {
    baseId: {
      kind: 'string',
      value: 'owner/name',
      help: "the base model's Hub id: noted where the source names none, else put in place of the name it has (the report says so)",
    },
    base: { kind: 'string', value: 'owner/name', help: 'the same as --base-id' },
    also: { kind: 'strings', value: 'prompt', help: 'more prompts, packed together with the first' },
    task: { kind: 'number', value: 'n', help: 'which prompt of a multitask adapter' },
    dtype: { kind: 'string', value: 't', help: 'stored dtype of a folder or bundle (default: F32)', choices: ['F32', 'F16', 'BF16'] },
    overwrite: { kind: 'boolean', help: 'replace what is there' },
  },
  examples: [
    'soft-prompts convert sst2.npy ./sst2 --base-id google/t5-base-lm-adapt',
    'soft-prompts convert ./sst2 pack.tar.gz --also ./mrpc --also ./rte',
    'soft-prompts convert ./sst2 sst2.onnx_adapter',
  ],
  async run([from = '', to = ''], { dtype, ...flags }, out) {
    const { convertPrompt } = await import('../adapters/compose/convert.ts')
    const options = { ...flags, ...(dtype === undefined ? {} : { dtype }) }
    const done = await convertPrompt(from, to, options)
    out.table(
      ['prompt', 'from', 'shape', 'largest difference'],
      done.prompts.map(({ name, from: form, shape, maxDifference }) => [
        name,
        form,
        `[${shape.join(', ')}]`,
        maxDifference === 0 ? '0 (every bit equal)' : maxDifference.toPrecision(3),
      ]),
    )
    for (const { name, dropped, notes = [] } of done.prompts) for (const what of [...notes, ...dropped]) out.note(`note: ${name}: ${what}`)
    out.line(`Wrote ${done.to} (${done.form}).`)
    out.result(done)
  },
})
