/** Turns command tables into a command line: flags, help, exit codes. 0 done, 1 a SoftPromptError, 2 bad flags, 130 and 143 stopped by a signal. */
import { Argument as CliArgument, Command as Cli, CommanderError, Help, InvalidArgumentError, Option } from 'commander'
import { SoftPromptError } from '../../src/errors.ts'
import type { Command, Flag, FlagKind } from './command.ts'
import { printable, printableLine, shellOutput } from './output.ts'

const COMMON: Readonly<Record<string, Flag>> = {
  json: { kind: 'boolean', help: 'print one JSON value and nothing else' },
  quiet: { kind: 'boolean', help: 'print nothing but errors' },
  debug: { kind: 'boolean', help: 'print the stack of an error' },
}

/** Their heading, where flags have headings. */
const COMMON_GROUP = 'Common'

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Not a number.')
  return value
}

const needed = ({ required, requiredUnless }: Flag): string =>
  required ? ' (required)' : requiredUnless === undefined ? '' : ` (required, except with --${kebab(requiredUnless)})`

function option(name: string, flag: Flag): Option {
  const value = flag.kind === 'boolean' ? '' : ` <${flag.value ?? flag.kind}${flag.kind === 'strings' ? '...' : ''}>`
  const made = new Option(`--${kebab(name)}${value}`, `${flag.help}${needed(flag)}`)
  if (flag.kind === 'number') made.argParser(number)
  if (flag.kind === 'repeated') made.argParser((one, before: readonly string[] | undefined) => [...(before ?? []), one])
  if (flag.choices) made.choices([...flag.choices])
  if (flag.default !== undefined) made.default(flag.default)
  return made
}

const headed = (heading: string, lines: readonly string[]): string => [heading, ...lines.map((line) => `  ${line}`)].join('\n')

/** Names of a command's flags, in the order of its groups. */
const orderOf = ({ flags, groups }: Command): readonly string[] => (groups ? Object.values(groups).flat() : Object.keys(flags))

/** Help with something below the summary; wrapped as a part of it, a command could not be copied. */
class OpenedHelp extends Help {
  readonly #summary: string
  readonly #below: string
  constructor(summary: string, below: string) {
    super()
    this.#summary = summary
    this.#below = below
  }
  override boxWrap(text: string, width: number): string {
    return text === this.#summary ? `${super.boxWrap(text, width)}\n\n${this.#below}` : super.boxWrap(text, width)
  }
}

/** Examples stand above the flags where these are many, else below them. */
function describe(cli: Cli, { summary, examples, groups }: Command): void {
  cli.description(summary)
  if (examples.length === 0) return
  const shown = headed('Examples:', examples)
  if (groups === undefined) cli.addHelpText('after', `\n${shown}`)
  else cli.createHelp = () => Object.assign(new OpenedHelp(summary, shown), cli.configureHelp())
}

/** Kinds that say one thing; the others gather. */
const ONE_VALUE: ReadonlySet<FlagKind> = new Set(['string', 'number', 'boolean'])

/** A parser would take the last of a flag that is said twice. Stands before the flag is added: its listener sets the value. @throws {CommanderError} */
function refuseTwice(cli: Cli, name: string, { kind }: Flag): void {
  if (!ONE_VALUE.has(kind)) return
  cli.on(`option:${kebab(name)}`, () => {
    if (cli.getOptionValueSource(name) !== 'cli') return
    cli.error(`error: --${kebab(name)} is given twice and takes one value; leave one out`, { code: 'soft-prompts.twice' })
  })
}

/** After unknown flags, which may be misspelt ones. @throws {CommanderError} */
function refuseMissing(cli: Cli, flags: Command['flags'], values: Readonly<Record<string, unknown>>): void {
  for (const [name, flag] of Object.entries(flags)) {
    const isNeeded = flag.required || (flag.requiredUnless !== undefined && values[flag.requiredUnless] === undefined)
    if (isNeeded && values[name] === undefined) {
      cli.error(`error: required option '${option(name, flag).flags}' not specified`, { code: 'commander.missingMandatoryOptionValue' })
    }
  }
}

/** Builds the command-line parser of one command. */
export function commandLine(command: Command): Cli {
  const cli = new Cli(command.name).showHelpAfterError('(add --help for the flags)').exitOverride()
  for (const { name, help, optional, variadic } of command.args) {
    const shown = `${name}${variadic ? '...' : ''}`
    cli.addArgument(new CliArgument(optional ? `[${shown}]` : `<${shown}>`, help))
  }
  describe(cli, command)
  const groupOf = new Map(Object.entries(command.groups ?? {}).flatMap(([heading, names]) => names.map((name) => [name, heading])))
  const all = { ...command.flags, ...COMMON }
  for (const name of new Set([...orderOf(command), ...Object.keys(COMMON)])) {
    const flag = all[name] as Flag
    const made = option(name, flag)
    const heading = command.groups ? (groupOf.get(name) ?? COMMON_GROUP) : undefined
    refuseTwice(cli, name, flag)
    cli.addOption(heading === undefined ? made : made.helpGroup(`${heading}:`))
  }
  if (command.groups) cli.addHelpOption(new Option('-h, --help', 'display help for command').helpGroup(`${COMMON_GROUP}:`))
  return cli.action(async (...received: unknown[]) => {
    const flags = received[command.args.length] as Record<string, unknown>
    refuseMissing(cli, command.flags, flags)
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

/** An error's message, with the flags of the options that it is about. */
async function spoken({ message, facts }: SoftPromptError): Promise<string> {
  const options = facts['options']
  if (!Array.isArray(options)) return message
  const { withFlags } = await import('./option-flags.ts')
  return withFlags(message, options as string[])
}

/** Lines to paste that stand below an error; each a line of its own, so that nothing within one passes for another. */
const nextLines = (error: unknown): readonly string[] => {
  const next = error instanceof SoftPromptError ? error.facts['next'] : undefined
  return Array.isArray(next) ? (next as string[]).map(printableLine) : []
}

/** The stack, whose message may hold the words of strangers. */
function printableStack({ message, stack = '' }: Error): string {
  const at = stack.indexOf(message)
  return at < 0 ? printable(stack) : printable(stack.slice(0, at)) + printableLine(message) + printable(stack.slice(at + message.length))
}

/** Parses and runs; resolves to the exit code and never throws. */
export async function main(cli: Cli, argv: readonly string[]): Promise<number> {
  process.stdout.off('error', closed).on('error', closed)
  try {
    await cli.parseAsync([...argv], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const debug = argv.includes('--debug')
    const text =
      error instanceof SoftPromptError
        ? `error: ${await spoken(error)} [${error.code}]`
        : `error: ${String(error)} (--debug prints the stack)`
    const said = debug && error instanceof Error ? printableStack(error) : printableLine(text)
    process.stderr.write(`${[said, ...nextLines(error)].join('\n')}\n`)
    return 1
  }
}
