/** Every command of `soft-prompts`, in the order help lists them. Each lies in the file of its name. */
import type { Command } from './cli/command.ts'
import { card } from './card.ts'
import { convert } from './convert.ts'
import { evaluate } from './eval.ts'
import { doctor } from './doctor.ts'
import { hub } from './hub.ts'
import { inspect } from './inspect.ts'
import { pull } from './pull-prompt.ts'
import { push } from './push-prompt.ts'
import { exportCommand } from './export.ts'
import { run } from './run.ts'
import { search } from './search.ts'
import { train } from './train.ts'
import { verify } from './verify.ts'

export const COMMANDS: readonly Command[] = [
  train,
  evaluate,
  run,
  push,
  pull,
  search,
  card,
  inspect,
  verify,
  convert,
  exportCommand,
  hub,
  doctor,
]
