/** Lets a command's file be a program of its own (`push-prompt`) besides a sub-command (`soft-prompts push`). */
import { realpathSync } from 'node:fs'
import type { Command } from './command.ts'
import { commandLine, main } from './main.ts'

/** Runs the command if its file is the one that Node was started with; package managers start it through a link. */
export async function runIfMain(file: string, name: string, command: Command): Promise<void> {
  const started = process.argv[1]
  if (started === undefined || realpathSync(started) !== file) return
  process.exitCode = await main(commandLine({ ...command, name }), process.argv.slice(2))
}
