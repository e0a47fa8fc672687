/** Turns command tables into a command line: flags, help, exit codes. 0 done, 1 a SoftPromptError, 2 bad flags. */
import { Argument as CliArgument, Command as Cli, CommanderError, InvalidArgumentError, Option } from 'commander'
import { SoftPromptError } from '../../src/errors.ts'
import type { Command, Flag } from './command.ts'
import { printable, shellOutput } from './output.ts'

const COMMON: Readonly<Record<string, Flag>> = {
  json: { kind: 'boolean', help: 'print one JSON value and nothing else' },
  quiet: { kind: 'boolean', help: 'print nothing but errors' },
  debug: { kind: 'boolean', help: 'print the stack of an error' },
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Not a number.')
  return value
}

function option(name: string, flag: Flag): Option {
  const value = flag.kind === 'boolean' ? '' : ` <${flag.value ?? flag.kind}${flag.kind === 'strings' ? '...' : ''}>`
  const made = new Option(`--${kebab(name)}${value}`, flag.help)
  if (flag.kind === 'number') made.argParser(number)
  if (flag.choices) made.choices([...flag.choices])
  if (flag.default !== undefined) made.default(flag.default)
  if (flag.required) made.makeOptionMandatory()
  return made
}

/** Builds the command-line parser of one command. */
export function commandLine(command: Command): Cli {
  const cli = new Cli(command.name).description(command.summary).showHelpAfterError('(add --help for the flags)').exitOverride()
  for (const { name, help, optional, variadic } of command.args) {
    const shown = `${name}${variadic ? '...' : ''}`
    cli.addArgument(new CliArgument(optional ? `[${shown}]` : `<${shown}>`, help))
  }
  for (const [name, flag] of Object.entries({ ...command.flags, ...COMMON })) cli.addOption(option(name, flag))
  if (command.examples.length > 0) cli.addHelpText('after', `\nExamples:\n${command.examples.map((line) => `  ${line}`).join('\n')}`)
  return cli.action(async (...received: unknown[]) => {
    const flags = received[command.args.length] as Record<string, unknown>
    const out = shellOutput({ json: flags['json'] === true, quiet: flags['quiet'] === true })
    const args = received
      .slice(0, command.args.length)
      .flat()
      .filter((arg) => arg !== undefined) as string[]
    await command.run(args, flags, out)
  })
}

/** A reader that has seen enough (`| head`) is no error. */
const closed = (error: NodeJS.ErrnoException): never => process.exit(error.code === 'EPIPE' ? 0 : 1)

/** Parses and runs; resolves to the exit code and never throws. */
export async function main(cli: Cli, argv: readonly string[]): Promise<number> {
  process.stdout.off('error', closed).on('error', closed)
  try {
    await cli.parseAsync([...argv], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const debug = argv.includes('--debug')
    const stack = debug && error instanceof Error ? error.stack : undefined
    const text =
      error instanceof SoftPromptError ? `error: ${error.message} [${error.code}]` : `error: ${String(error)} (--debug prints the stack)`
    process.stderr.write(`${printable(stack ?? text)}\n`)
    return 1
  }
}
