#!/usr/bin/env node
/** `soft-prompts COMMAND`: the one command line. */
import { Command as Cli } from 'commander'
import { createdBy } from '../adapters/compose/created-by.ts'
import { commandLine, main } from './cli/main.ts'
import { COMMANDS } from './commands.ts'

const cli = new Cli('soft-prompts')
  .description('Train a soft prompt for a frozen T5, share it on the Hub, load it into an ONNX app.')
  .version((await createdBy()) ?? 'unknown', '-V, --version', 'print the version')
  .exitOverride()
for (const command of COMMANDS) cli.addCommand(commandLine(command))
process.exitCode = await main(cli, process.argv.slice(2))
