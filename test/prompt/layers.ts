/** Models of which only the layers are others: what a merged LoRA, or a fine-tuning with frozen embeddings, leaves. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openCheckpoint } from '../../adapters/checkpoint/open-checkpoint.ts'
import { layerFacts } from '../../adapters/compose/layer-facts.ts'
import { parseModel } from '../../src/onnx/model.ts'
import { DATA_TYPE, type ModelProto, type TensorProto } from '../../src/onnx/schema.ts'
import type { ModelFacts } from '../../src/prompt/fingerprint.ts'
import type { LayerWeight } from '../../src/prompt/layers.ts'
import { parseT5Config } from '../../src/t5/config.ts'
import { formatSafetensors, parseSafetensors } from '../../src/tensor/safetensors.ts'
import { withGraph } from '../attach/variants.ts'

/** What a fingerprint sees of a checkpoint; no tokenizer. */
export async function checkpointFacts(folder: string): Promise<ModelFacts> {
  const { config: json, weights, embeddingTable } = await openCheckpoint(folder)
  const config = parseT5Config(json)
  const { encoderLayers, decoderLayers } = config
  return { table: embeddingTable(), encoderLayers, decoderLayers, layers: layerFacts(config, weights) }
}

/** The same model with other values in these weights. */
export const withValues = (facts: ModelFacts, change: (name: string, values: Float32Array) => Float32Array): ModelFacts => ({
  ...facts,
  layers: {
    ...facts.layers,
    weights: (facts.layers?.weights ?? []).map((weight): LayerWeight => ({
      ...weight,
      values: (places) => change(weight.name, weight.values(places)),
    })),
  },
})

/** A checkpoint's file with the values of its layers' matrices in another order: noise of their own size. */
export function scrambledCheckpoint(path: string, isMeant: (name: string) => boolean): Uint8Array {
  const { tensors, metadata } = parseSafetensors(readFileSync(path))
  const scrambled = [...tensors].map(([name, tensor]) =>
    isMeant(name) && tensor.shape.length === 2
      ? ([name, { ...tensor, data: tensor.data.toReversed() }] as const)
      : ([name, tensor] as const),
  )
  return formatSafetensors(new Map(scrambled), metadata)
}
export const inLayers = (name: string): boolean => name.includes('.block.')

const ELEMENT: Readonly<Record<number, number>> = {
  [DATA_TYPE.FLOAT]: 4,
  [DATA_TYPE.FLOAT16]: 2,
  [DATA_TYPE.INT8]: 1,
  [DATA_TYPE.UINT8]: 1,
}

/** An ONNX model with the elements of its stored matrices in another order, but of embeddings. */
export function scrambledOnnx(model: ModelProto, isMeant: (tensor: TensorProto) => boolean = () => true): ModelProto {
  return withGraph(model, ({ initializers }) => ({
    initializers: initializers.map((tensor) => {
      const size = ELEMENT[tensor.dataType ?? 0]
      const isEmbedding = /embed_tokens|shared/.test(tensor.name ?? '')
      if (!tensor.rawData || !size || tensor.dims.length < 2 || isEmbedding || !isMeant(tensor)) return tensor
      const elements = Array.from({ length: tensor.rawData.length / size }, (_, index) =>
        tensor.rawData?.subarray(index * size, (index + 1) * size),
      )
      return { ...tensor, rawData: Uint8Array.from(elements.toReversed().flatMap((element) => [...(element ?? [])])) }
    }),
  }))
}

export const readOnnx = (folder: string, file: string): ModelProto => parseModel(new Uint8Array(readFileSync(join(folder, 'onnx', file))))
