/** What can be read off a prompt's numbers: norms, the vocabulary around each virtual token (Lester et al. 2021 §7), how far training moved it. Pure. */
import { ShapeError } from '../errors.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { EmbeddingTable } from './fingerprint.ts'

/** Rows of the table held at a time: 8 MB at the width of T5 XXL. */
const CHUNK_ROWS = 512

/** Length of each row, [P]. */
export function rowNorms({ shape, data }: Tensor<'F32'>): number[] {
  const [length = 0, width = 0] = shape
  return Array.from({ length }, (_, row) => {
    let sum = 0
    for (let column = 0; column < width; column++) sum += (data[row * width + column] as number) ** 2
    return Math.sqrt(sum)
  })
}

/** A row of the vocabulary near a virtual token. */
export interface Neighbour {
  readonly id: number
  readonly cosine: number
}

/**
 * The nearest rows of the vocabulary for each virtual token, by cosine, nearest first. The whole table is read once, in pieces.
 * @throws {ShapeError} `prompt-width` for a table of another width
 */
export function nearestTokens(
  embeddings: Tensor<'F32'>,
  table: EmbeddingTable,
  count: number,
  onRows: (done: number, total: number) => void = () => {},
): Neighbour[][] {
  const [length = 0, width = 0] = embeddings.shape
  if (table.width !== width) {
    throw new ShapeError('prompt-width', `The prompt is ${width} wide, the model ${table.width}: the prompt is of another model.`, {
      facts: { expected: table.width, got: width },
    })
  }
  const norms = rowNorms(embeddings)
  const dots = new Float64Array(length)
  const found: Neighbour[][] = Array.from({ length }, () => [])
  for (let from = 0; from < table.vocabSize; from += CHUNK_ROWS) {
    const ids = Array.from({ length: Math.min(CHUNK_ROWS, table.vocabSize - from) }, (_, index) => from + index)
    const rows = table.rows(ids)
    const rowLengths = rowNorms({ dtype: 'F32', shape: [ids.length, width], data: rows })
    for (const [index, id] of ids.entries()) {
      dotProducts(embeddings.data, rows.subarray(index * width, (index + 1) * width), dots)
      for (let token = 0; token < length; token++) {
        const size = (rowLengths[index] as number) * (norms[token] as number)
        keepNearest(found[token] as Neighbour[], { id, cosine: size === 0 ? 0 : (dots[token] as number) / size }, count)
      }
    }
    onRows(from + ids.length, table.vocabSize)
  }
  return found
}

/** Dot product of one row with each row of a matrix; four at a time, so that the row is read a quarter as often. */
function dotProducts(matrix: Float32Array, row: Float32Array, into: Float64Array): void {
  const width = row.length
  const count = into.length
  let token = 0
  for (; token + 4 <= count; token += 4) {
    let at = token * width
    let [a, b, c, d] = [0, 0, 0, 0]
    for (let column = 0; column < width; column++, at++) {
      const value = row[column] as number
      a += value * (matrix[at] as number)
      b += value * (matrix[at + width] as number)
      c += value * (matrix[at + 2 * width] as number)
      d += value * (matrix[at + 3 * width] as number)
    }
    into[token] = a
    into[token + 1] = b
    into[token + 2] = c
    into[token + 3] = d
  }
  for (; token < count; token++) {
    let sum = 0
    for (let column = 0; column < width; column++) sum += (row[column] as number) * (matrix[token * width + column] as number)
    into[token] = sum
  }
}

/** Puts a neighbour in its place, if it is among the nearest. */
function keepNearest(list: Neighbour[], candidate: Neighbour, count: number): void {
  if (list.length === count && candidate.cosine <= (list.at(-1)?.cosine ?? -Infinity)) return
  const place = list.findIndex(({ cosine }) => cosine < candidate.cosine)
  list.splice(place < 0 ? list.length : place, 0, candidate)
  if (list.length > count) list.pop()
}

/** How far one virtual token is from where it began. */
export interface Moved {
  readonly distance: number
  /** 1 = still the same direction. */
  readonly cosine: number
}

/** Distance and cosine of each row to the same row of another matrix [P, D]. */
export function movedFrom(now: Tensor<'F32'>, before: Tensor<'F32'>): Moved[] {
  const [length = 0, width = 0] = now.shape
  const [a, b] = [rowNorms(now), rowNorms(before)]
  return Array.from({ length }, (_, row) => {
    let squares = 0
    let dot = 0
    for (let at = row * width; at < (row + 1) * width; at++) {
      const [x, y] = [now.data[at] as number, before.data[at] as number]
      squares += (x - y) ** 2
      dot += x * y
    }
    const size = (a[row] as number) * (b[row] as number)
    return { distance: Math.sqrt(squares), cosine: size === 0 ? 0 : dot / size }
  })
}
