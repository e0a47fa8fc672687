/** Every command of `soft-prompts`, in the order help lists them. Each lies in the file of its name. */
import type { Command } from './cli/command.ts'

export const COMMANDS: readonly Command[] = []
