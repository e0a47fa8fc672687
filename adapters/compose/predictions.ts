/** Predictions as JSON Lines: one row's answer a line, of every prompt and file. */
import { existsSync, realpathSync } from 'node:fs'
import { ConfigError } from '../../src/errors.ts'
import { replaceFile } from '../disk/replace.ts'
import type { EvaluateResult } from './evaluate.ts'

export interface PredictionsFile {
  /** Adds a result's rows; the file is whole after each. */
  add(result: EvaluateResult): Promise<void>
}

/**
 * Starts a file of predictions, in the place of one that is there.
 * @param kept files that must stay: the data itself
 * @throws {ConfigError} `predictions-data` for one of them; {DiskError} where it cannot be written
 */
export async function openPredictions(path: string, kept: readonly string[] = []): Promise<PredictionsFile> {
  if (existsSync(path) && kept.some((file) => existsSync(file) && realpathSync(file) === realpathSync(path))) {
    throw new ConfigError('predictions-data', `${path} is the data itself; write the predictions to another file.`, { facts: { path } })
  }
  let text = ''
  // Before the first answer is asked for: an hour's work is no time to learn of a folder that is not there.
  await replaceFile(path, text)
  return {
    add: ({ prompt, data, predictions }) => {
      text += predictions.map((each) => `${JSON.stringify({ prompt, data, ...each })}\n`).join('')
      return replaceFile(path, text)
    },
  }
}
