/** Help texts are part of the interface: a snapshot each. A misspelt flag is an error, never ignored. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { RECIPE_FLAGS } from '../../src/card/reproduce.ts'
import { QUICK } from '../../src/train/recipe.ts'
import { commandLine, main } from '../../scripts/cli/main.ts'
import { train } from '../../scripts/train.ts'
import type { Command } from '../../scripts/cli/command.ts'
import { COMMANDS } from '../../scripts/commands.ts'

/** Where a command's flags are read. */
function filesOf({ name }: Command): string[] {
  if (name === 'train') return ['train.ts', 'cli/training-options.ts', 'cli/training-view.ts']
  return [`${name}${name === 'push' || name === 'pull' ? '-prompt' : ''}.ts`]
}

/** What a command line prints of arguments that it refuses as such. */
async function refused(command: Command, argv: readonly string[]): Promise<string> {
  let text = ''
  const cli = commandLine(command).configureOutput({ writeErr: (part) => (text += part) })
  expect(await main(cli, argv)).toBe(2)
  return text
}

describe.each(COMMANDS.map((command) => [command.name, command] as const))('%s', (_, command) => {
  it('prints its help', () => {
    let text = ''
    const cli = commandLine(command).configureOutput({ writeOut: (part) => (text += part) })
    cli.configureHelp({ helpWidth: 120 }).outputHelp()
    expect(text).toMatchSnapshot()
  })

  it('refuses a flag it does not know with exit code 2', async () => {
    // before it misses others, which may be misspelt there
    expect(await refused(command, ['--no-such-flag'])).toContain("unknown option '--no-such-flag'")
  })

  it('reads every flag it has', () => {
    const sources = filesOf(command).map((file) => readFileSync(new URL(`../../scripts/${file}`, import.meta.url), 'utf8'))
    const body = sources.map((source) => source.slice(Math.max(0, source.search(/\n  (?:async )?run(?:: async ?)?\(/)))).join('\n')
    const read = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(body)
    // What is not named is handed on whole.
    const handsOn = /said\(\{ \.\.\.rest\b|= \{ \.\.\.flags\b/.test(body)
    expect(Object.keys(command.flags).filter((name) => !handsOn && !read(name))).toEqual([])
  })

  it('has every flag under one heading, where it has headings', () => {
    const names = Object.keys(command.flags).toSorted()
    expect(command.groups ? Object.values(command.groups).flat().toSorted() : names).toEqual(names)
  })
})

describe('train', () => {
  it('names a misspelt flag before a missing one, and what it may have meant', async () => {
    expect(await refused(train, ['--modle', 'x', '--data', 'y'])).toMatch(/unknown option '--modle'\n\(Did you mean --model\?\)/)
  })

  it('names a flag that is missing', async () => {
    expect(await refused(train, ['--data', 'y', '--out', 'z'])).toContain("required option '--model <id|dir>' not specified")
  })

  it.each([['--data'], ['--lr'], ['--hold-out'], ['--schedule']])('refuses %s given twice', async (flag) => {
    const value = flag === '--schedule' ? 'linear' : '1'
    const text = await refused(train, ['--model', 'm', '--out', 'o', flag, value, flag, value])
    expect(text).toContain(`${flag} is given twice`)
  })

  it('takes a list in several flags', async () => {
    expect(await refused(train, ['--labels', 'a', '--labels', 'b', '--no-such-flag'])).toContain("unknown option '--no-such-flag'")
  })

  it('names every choice of a flag that has few', async () => {
    expect(await refused(train, ['--device', 'gpu'])).toMatch(/cpu, webgpu, cuda, dml, coreml, auto/)
    expect(await refused(train, ['--preset', 'list'])).toMatch(/sst2.*rte.*squad/)
  })

  it('says of --quick all that it sets', () => {
    const said = new Set(train.flags['quick']?.help.match(/--[a-z-]+ [\w.]+/g))
    const flags = Object.entries(QUICK).map(([field, value]) => `--${RECIPE_FLAGS[field as keyof typeof RECIPE_FLAGS]} ${value}`)
    expect(said).toEqual(new Set(flags))
  })
})
