/** The fingerprints of prompts against an encoder and a decoder file, wherever their bytes lie: Node or browser. */
import { MismatchError } from '../../src/errors.ts'
import { onnxEmbeddingTable, onnxFinalNorm } from '../../src/onnx/embedding-table.ts'
import { onnxLayerWeights } from '../../src/onnx/layer-weights.ts'
import { readSkeleton } from '../../src/onnx/skeleton.ts'
import { externalDataOf } from '../../src/onnx/tensors.ts'
import type { ModelProto, TensorProto } from '../../src/onnx/schema.ts'
import { compareFingerprint, type Digest } from '../../src/prompt/fingerprint.ts'
import type { LayerWeight } from '../../src/prompt/layers.ts'
import type { SoftPrompt } from '../../src/prompt/soft-prompt.ts'

/** The location of a file's own bytes. */
export const OWN = '.own-bytes'

/** What a config.json says of layers. */
export interface LayerConfig {
  readonly num_layers?: number
  readonly num_decoder_layers?: number
}

export interface OnnxFile {
  readonly sizeBytes: number
  /** Files beside it are not at hand: what it keeps there cannot be compared. */
  readonly alone?: boolean
  /** Bytes of the file itself (`OWN`) or of a file beside it. */
  read(location: string, offset: number, length: number): Uint8Array
}

export interface EncoderFile extends OnnxFile {
  /** For messages. */
  readonly name: string
  /** The decoder that it is used with, opened where a fingerprint holds layers. */
  decoder?(): Promise<OnnxFile | undefined>
  readonly config: LayerConfig
  /** The tokenizer's pieces by id. */
  pieces(): Promise<readonly string[]>
  readonly digest: Digest
}

/**
 * Compares every prompt that carries a fingerprint with the encoder and its decoder.
 * @returns warnings: a rounded or quantised base with its drift, and what could not be compared
 * @throws {MismatchError} `prompt-base` for a prompt of another base, saying what differs
 */
export async function checkEncoder(encoder: EncoderFile, prompts: Readonly<Record<string, SoftPrompt>>): Promise<string[]> {
  const carrying = Object.entries(prompts).filter(([, { manifest }]) => manifest.base.fingerprint !== undefined)
  if (carrying.length === 0) return []
  const { read, config, digest } = encoder
  const skeleton = await skeletonOf(encoder)
  const withLayers = carrying.some(([, { manifest }]) => manifest.base.fingerprint?.layers !== undefined)
  const decoder = withLayers ? await encoder.decoder?.() : undefined
  const weights = [...(withLayers ? onnxLayerWeights(skeleton, 'encoder', read) : []), ...(decoder ? await decoderLayers(decoder) : [])]
  const finalNorm = onnxFinalNorm(skeleton, read)
  const facts = {
    table: onnxEmbeddingTable(skeleton, read),
    pieces: await encoder.pieces(),
    ...(config.num_layers === undefined ? {} : { encoderLayers: config.num_layers }),
    ...(config.num_decoder_layers === undefined ? {} : { decoderLayers: config.num_decoder_layers }),
    ...(finalNorm ? { finalNorm } : {}),
    ...(withLayers ? { layers: { weights } } : {}),
  }
  const warnings: string[] = []
  for (const [name, { manifest }] of carrying) {
    const { id, fingerprint } = manifest.base
    if (fingerprint === undefined) continue
    const { answer, drift, reasons } = await compareFingerprint(fingerprint, facts, digest)
    if (answer === 'other') {
      throw new MismatchError(
        'prompt-base',
        `${name} was made for ${id}, not for the model in ${encoder.name}: ${reasons.join('; ')}. Use the base it names.`,
        {
          facts: { prompt: name, expected: id, got: encoder.name, reasons },
        },
      )
    }
    if (answer === 'quantised') {
      warnings.push(
        `${name} was made for ${id} in full precision; these files are rounded or quantised (drift ${(100 * drift).toPrecision(2)} %): expect slightly other answers.`,
      )
    }
    // Of what version 1 does not hold there is nothing to say at each load; verify says it.
    if (fingerprint.layers && reasons.length > 0)
      warnings.push(`${name}: whether this is its base was not seen in full: ${reasons.join('; ')}.`)
  }
  return warnings
}

const skeletonOf = ({ sizeBytes, read }: OnnxFile): Promise<ModelProto> =>
  readSkeleton({ sizeBytes, read: (offset, length) => read(OWN, offset, length) }, OWN)

const isElsewhere = (tensor: TensorProto): boolean => (externalDataOf(tensor)?.location ?? OWN) !== OWN

async function decoderLayers(file: OnnxFile): Promise<LayerWeight[]> {
  const model = await skeletonOf(file)
  if (file.alone && model.graph?.initializers.some(isElsewhere)) return []
  return onnxLayerWeights(model, 'decoder', file.read)
}
