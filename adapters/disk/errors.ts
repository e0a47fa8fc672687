/** What the system says when it cannot write, with a code and the path. */
import { DiskError } from '../../src/errors.ts'

/** A failure of the system as `disk-write`; any other error as it is. */
export function diskError(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error && 'syscall' in cause)) return cause
  return new DiskError(
    'disk-write',
    `${path} cannot be written (${cause.message}). What stood there is as it was: make room, or choose another place.`,
    { cause, facts: { path } },
  )
}

/** The system's own words, for a message that says more. */
export function reasonOf(error: unknown): string {
  const reason = error instanceof DiskError ? error.cause : error
  return reason instanceof Error ? reason.message : String(reason)
}
