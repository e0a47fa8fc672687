/** Rows of a data file as plain records, each with the place it came from. */

/** One row: field names to values, as the file had them. */
export interface Row {
  readonly fields: Readonly<Record<string, unknown>>
  /** `train.jsonl:17`: named in every complaint about the row. */
  readonly where: string
}
