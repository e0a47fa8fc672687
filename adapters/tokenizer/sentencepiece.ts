/**
 * `spiece.model` (SentencePiece's ModelProto, sentencepiece_model.proto) as the `tokenizer.json` that transformers 5 makes of it for T5 (`tokenization_t5.py`): most T5
 * repositories, the paper's LM-adapted ones among them, hold nothing else.
 */
import { FormatError, SoftPromptError, UnsupportedError } from '../../src/errors.ts'
import {
  BYTES,
  cursor,
  FIXED32,
  readFloat,
  readInteger,
  readRange,
  readTag,
  readText,
  skip,
  VARINT,
  viewOf,
  type Cursor,
} from '../../src/onnx/wire.ts'
import { addedToken, gatherAdded, type Added, type TokenizerFiles } from './spiece-added.ts'

interface Piece {
  readonly text: string
  readonly score: number
  readonly type: number
}

interface Model {
  readonly pieces: readonly Piece[]
  readonly charsMap: Uint8Array
  readonly type: number
}

/** Piece types and model types of the proto. */
const UNKNOWN = 2
const CONTROL = 3
const USER_DEFINED = 4
const UNIGRAM = 1

/** Calls `field` for every field of a message; it reads the value or skips it. */
function eachField(message: Cursor, field: (number: number, wireType: number) => boolean): void {
  while (message.offset < message.end) {
    const tag = readTag(message)
    if (!field(tag.field, tag.wireType)) skip(message, tag.wireType)
  }
}

function readPiece(message: Cursor): Piece {
  let text = ''
  let score = 0
  let type = 1
  eachField(message, (number, wireType) => {
    if (number === 1 && wireType === BYTES) text = readText(readRange(message))
    else if (number === 2 && wireType === FIXED32) score = readFloat(message)
    else if (number === 3 && wireType === VARINT) type = readInteger(message)
    else return false
    return true
  })
  return { text, score, type }
}

function readModel(message: Cursor): Model {
  const pieces: Piece[] = []
  let charsMap = new Uint8Array()
  let type = UNIGRAM
  eachField(message, (number, wireType) => {
    if (wireType !== BYTES || number < 1 || number > 3) return false
    const inner = readRange(message)
    if (number === 1) pieces.push(readPiece(inner))
    else if (number === 2) {
      eachField(inner, (trainer, kind) => {
        if (trainer !== 3 || kind !== VARINT) return false
        type = readInteger(inner)
        return true
      })
    } else {
      eachField(inner, (normalizer, kind) => {
        if (normalizer !== 2 || kind !== BYTES) return false
        charsMap = viewOf(readRange(inner)) as Uint8Array<ArrayBuffer>
        return true
      })
    }
    return true
  })
  return { pieces, charsMap, type }
}

const METASPACE = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true }

/**
 * Converts the bytes of a `spiece.model`.
 * @param files what lies beside it and names added tokens. `extra_ids` of tokenizer_config.json: sentinels `<extra_id_N>` … `<extra_id_0>` put after the pieces:
 * 100 for T5, none where the model holds them itself (mT5)
 * @throws {FormatError} `spiece-format`
 * @throws {UnsupportedError} `spiece-type` for a model that is not unigram
 */
export function convertSentencePiece(bytes: Uint8Array, name: string, files: TokenizerFiles = { config: {} }): Record<string, unknown> {
  let model: Model
  try {
    model = readModel(cursor(bytes))
  } catch (cause) {
    if (!(cause instanceof SoftPromptError)) throw cause
    throw new FormatError(
      'spiece-format',
      `${name} is not a sound SentencePiece model (damaged at byte ${String(cause.facts['offset'])}). Download it again.`,
      { cause },
    )
  }
  const { pieces, charsMap, type } = model
  const unknown = pieces.findIndex((piece) => piece.type === UNKNOWN)
  if (unknown < 0)
    throw new FormatError(
      'spiece-format',
      `${name} is not a sound SentencePiece model: it has no piece for the unknown. Download it again.`,
    )
  if (type !== UNIGRAM) throw new UnsupportedError('spiece-type', `${name} is a SentencePiece model of type ${type}; T5's are unigram (1).`)
  const own = pieces.some(({ text }) => text === '<extra_id_0>')
  const extraIds = files.config['extra_ids'] ?? 100
  const count = own || typeof extraIds !== 'number' ? 0 : extraIds
  const sentinels = Array.from({ length: count }, (_, index) => `<extra_id_${count - 1 - index}>`)
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: withIds(gatherAdded(files, ownAdded(pieces), sentinels), [...pieces.map(({ text }) => text), ...sentinels]),
    normalizer: charsMap.length === 0 ? null : { type: 'Precompiled', precompiled_charsmap: Buffer.from(charsMap).toString('base64') },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, METASPACE] },
    post_processor: endOfText(pieces.findIndex(({ text }) => text === '</s>')),
    decoder: METASPACE,
    model: {
      type: 'Unigram',
      unk_id: unknown,
      vocab: [...pieces.map(({ text, score }) => [text, score]), ...sentinels.map((text) => [text, 0])],
      byte_fallback: false,
    },
  }
}

/** What SentencePiece matches before all else; neither is normalized, and control symbols are special. */
const ownAdded = (pieces: readonly Piece[]): Added[] =>
  pieces.flatMap(({ text, type }) => (type === CONTROL || type === USER_DEFINED ? [addedToken(text, { special: type === CONTROL })] : []))

/** Tokens of the vocabulary have their ids there, others the next ones: what a file says of their ids is not asked, as in transformers. */
function withIds(added: readonly Added[], vocabulary: readonly string[]): (Added & { readonly id: number })[] {
  const ids = new Map(vocabulary.map((text, id) => [text, id]))
  let next = vocabulary.length
  return added.map((token) => ({ id: ids.get(token.content) ?? next++, ...token })).toSorted((a, b) => a.id - b.id)
}

const endOfText = (id: number): object => ({
  type: 'TemplateProcessing',
  single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
  pair: [
    { Sequence: { id: 'A', type_id: 0 } },
    { SpecialToken: { id: '</s>', type_id: 0 } },
    { Sequence: { id: 'B', type_id: 0 } },
    { SpecialToken: { id: '</s>', type_id: 0 } },
  ],
  special_tokens: { '</s>': { id: '</s>', ids: [id], tokens: ['</s>'] } },
})
