/** One prompt, two ways to ask: stock ONNX files on transformers.js, and the graphs emitted for training. Both score labels alike. */
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { afterAll, describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { loadPrompted } from '../../adapters/compose/load-prompted.ts'
import { createEngine } from '../../adapters/onnxruntime/engine.ts'
import { openTokenizer } from '../../adapters/tokenizer/tokenizer.ts'
import { emittedSeq2Seq } from '../../src/decode/emitted.ts'
import { labelProbabilities, scoreLabels } from '../../src/decode/score.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { folderOf, MODELS, promptOf, reference } from './fixtures.ts'

const labels = ['good', 'bad', 'new movie', 'two']

const ids = (rows: readonly (readonly number[])[]) =>
  tensor('I64', [rows.length, rows[0]?.length ?? 0], BigInt64Array.from(rows.flat(), BigInt))

describe.each(MODELS)('%s', (model) => {
  const opened: { dispose(): Promise<unknown> }[] = []
  afterAll(() => Promise.all(opened.map((each) => each.dispose())))

  it('label probabilities agree to 1e-4, in a padded batch', async () => {
    const ref = reference(model)
    const prompt = promptOf(model, 'b')
    const pipe = await loadPrompted({ b: { ...prompt, manifest: { ...prompt.manifest, labels } } }, { base: folderOf(model) })
    const { config: json, weights } = await openCheckpoint(join(folderOf(model), 'hf'))
    const config = parseT5Config(json)
    const emitted = await emittedSeq2Seq(createEngine(ort), config, weights)
    opened.push(pipe, emitted)
    const tokenizer = await openTokenizer(folderOf(model))
    const [length, width] = prompt.embeddings.shape as [number, number]
    const scores = await scoreLabels(
      emitted,
      {
        inputIds: ids(ref.input_ids),
        attentionMask: ids(ref.attention_mask),
        prompts: tensor('F32', [1, length, width], prompt.embeddings.data),
        promptIndex: tensor('I64', [ref.texts.length], new BigInt64Array(ref.texts.length)),
      },
      labels.map((label) => tokenizer.encode(label)),
      config.startId,
    )
    const answers = await pipe.classify([...ref.texts])
    for (const [row, answer] of answers.entries()) {
      const expected = labelProbabilities(scores[row] as Float64Array)
      for (const { label, score } of answer) expect(Math.abs(score - (expected[labels.indexOf(label)] as number))).toBeLessThan(1e-4)
    }
  })
})
