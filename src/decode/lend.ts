/** A model that is made when it is first asked for, and, where memory is short, given back when nobody has it any more. */
import type { Seq2Seq } from './seq2seq.ts'

export interface LentModel {
  /** Does something with the model: `get` makes it, and it stands at least until the work is done. */
  use<T>(work: (get: () => Promise<Seq2Seq>) => Promise<T>): Promise<T>
  dispose(): Promise<void>
}

/** @param keep whether it stays between one use and the next */
export function lendModel(make: () => Promise<Seq2Seq>, keep: boolean): LentModel {
  let model: Promise<Seq2Seq> | undefined
  let users = 0
  const dispose = async (): Promise<void> => {
    const made = model
    model = undefined
    await (await made)?.dispose()
  }
  return {
    use: async (work) => {
      users += 1
      try {
        return await work(() => (model ??= make()))
      } finally {
        users -= 1
        if (users === 0 && !keep) await dispose()
      }
    },
    dispose,
  }
}
