/** Writes two prompts in turn, without end, until it is killed: `node writer.js FOLDER BUNDLE`. Prints a line when the first round is done. */
import { join } from 'node:path'
import { formatArtifact } from '../../adapters/artifact/artifact.ts'
import { sha256, writePromptFolder } from '../../adapters/artifact/folder.ts'
import { writeBundle } from '../../adapters/tar/bundle.ts'
import { softPrompt, type SoftPrompt } from '../../src/prompt/soft-prompt.ts'
import { tensor } from '../../src/tensor/tensor.ts'

/** A prompt all of one value, which its manifest names too: a mixture of two shows. */
const promptOf = (value: number): SoftPrompt =>
  softPrompt(tensor('F32', [20, 512], new Float32Array(20 * 512).fill(value)), { base: { id: `base-${value}` }, task: String(value) })

const [dir = '', bundles = ''] = process.argv.slice(2)
for (let round = 0; ; round++) {
  for (const value of [1, 2]) {
    await writePromptFolder(promptOf(value), dir)
    await writeBundle(join(bundles, 'b.tar.gz'), new Map([['', await formatArtifact(promptOf(value), { sha256 })]]))
  }
  if (round === 0) process.stdout.write('ready\n')
}
