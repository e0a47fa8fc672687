/** A small artifact with every field of the manifest. */
import { createHash } from 'node:crypto'
import { formatArtifact } from '../../adapters/artifact/artifact.ts'
import { softPrompt } from '../../src/prompt/soft-prompt.ts'
import { formatBase64 } from '../../src/tensor/base64.ts'
import { tensor } from '../../src/tensor/tensor.ts'

export const sampleArtifact = (): Promise<Map<string, Uint8Array>> =>
  formatArtifact(
    softPrompt(
      tensor(
        'F32',
        [3, 4],
        Float32Array.from({ length: 12 }, (_, index) => index - 5.5),
      ),
      {
        base: {
          id: 'google/t5-base-lm-adapt',
          revision: '0'.repeat(40),
          onnxId: 'owner/onnx',
          fingerprint: {
            version: 2,
            vocabSize: 32128,
            width: 4,
            encoderLayers: 2,
            decoderLayers: 2,
            probe: { ids: [0, 5], rows: 'AAAAAAAAAAA=' },
            finalNorm: 'AACAPw==',
            layers: { each: 1, gated: false, tied: true, biasInEveryLayer: false, values: formatBase64(new Uint8Array(4 * 46)) },
          },
        },
        task: 'sentiment of a sentence',
        template: '{sentence}',
        labels: ['negative', 'positive'],
        generation: { max_new_tokens: 4 },
        recipe: {
          length: 3,
          init: 'labels',
          steps: 10,
          batch: 2,
          learningRate: 0.3,
          optimizer: 'adafactor',
          weightDecay: 1e-5,
          stepOffset: 0,
          seed: 7,
          maxInputTokens: 64,
          maxTargetTokens: 8,
          evalEvery: 5,
        },
        data: { name: 'train.jsonl', rows: 10, sha256: 'a'.repeat(64) },
        bestStep: 5,
        metrics: [{ name: 'accuracy', split: 'dev', value: 0.9, n: 10, interval: [0.6, 0.98], step: 5, by: 'labels' }],
        createdBy: 'soft-prompts 0.1.0',
        unknown: { of_a_later_version: { kept: [1, 2] } },
      },
    ),
    { sha256: (bytes) => createHash('sha256').update(bytes).digest('hex') },
  )
