/** Writes a prompt all of one value, as a folder and as a bundle: `node writer.js FOLDER BUNDLE VALUE BASE`. */
import { formatArtifact } from '../../adapters/artifact/artifact.ts'
import { sha256, writePromptFolder } from '../../adapters/artifact/folder.ts'
import { writeBundle } from '../../adapters/tar/bundle.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const [dir = '', bundle = '', value = '', base = ''] = process.argv.slice(2)
// Its manifest names the value too: a mixture of two shows.
const prompt: SoftPrompt = softPrompt(tensor('F32', [20, 512], new Float32Array(20 * 512).fill(Number(value))), {
  base: { id: base },
  task: value,
})
await writePromptFolder(prompt, dir)
await writeBundle(bundle, new Map([['', await formatArtifact(prompt, { sha256 })]]))
