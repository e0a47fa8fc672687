/** A stage of the quickstart: timed, and failing by name where it does not do what it says. */
import { MismatchError, SoftPromptError } from '../../src/errors.ts'
import type { Output } from '../cli/output.ts'

export interface StageReport {
  readonly stage: string
  readonly ms: number
  readonly sizeBytes?: number
  readonly what: string
}

/** What a stage gives back: its value for the stages after it, and its line in the table. */
export interface StageResult<T> {
  readonly value: T
  readonly what: string
  readonly sizeBytes?: number
}

export interface Stages {
  readonly reports: readonly StageReport[]
  /** @throws {MismatchError} `quickstart-stage`, naming the stage, whatever went wrong in it */
  run<T>(stage: string, body: () => Promise<StageResult<T>>): Promise<T>
}

/** `1.2 kB`, `18.0 MB` */
export function formatBytes(sizeBytes: number): string {
  return sizeBytes < 1e6 ? `${(sizeBytes / 1e3).toFixed(1)} kB` : `${(sizeBytes / 1e6).toFixed(1)} MB`
}

export const formatSeconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** Times stages one after the other and says each as it is done. */
export function stages(out: Output): Stages {
  const reports: StageReport[] = []
  return {
    reports,
    async run(stage, body) {
      const start = performance.now()
      const { value, what, sizeBytes } = await body().catch((cause: unknown) => {
        if (!(cause instanceof SoftPromptError)) throw cause
        throw new MismatchError('quickstart-stage', `Stage "${stage}" failed: ${cause.message} [${cause.code}]`, {
          cause,
          facts: { ...cause.facts, stage, code: cause.code },
        })
      })
      const report = { stage, ms: performance.now() - start, what, ...(sizeBytes === undefined ? {} : { sizeBytes }) }
      reports.push(report)
      out.line(`${stage}: ${what} (${formatSeconds(report.ms)})`)
      return value
    },
  }
}

/** Holds a stage to its word. @throws {MismatchError} `quickstart-expected` */
export function expectThat(ok: boolean, what: string, expected: unknown, got: unknown): void {
  if (ok) return
  throw new MismatchError('quickstart-expected', `${what}: expected ${String(expected)}, got ${String(got)}.`, { facts: { expected, got } })
}
