/** Parquet to rows, by hyparquet; snappy and uncompressed pages, as Hub datasets are stored. */
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { DataError } from '../../src/errors.ts'
import type { Row } from '../../src/data/rows.ts'

/** @throws {DataError} `row-parquet` */
export async function readParquet(path: string): Promise<Row[]> {
  try {
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) })
    return rows.map((fields, index) => ({ fields, where: `${path}:row ${index + 1}` }))
  } catch (cause) {
    throw new DataError('row-parquet', `${path}: cannot be read as Parquet (${(cause as Error).message}). Convert it to JSON Lines.`, {
      cause,
    })
  }
}
