/** Help texts are part of the interface: a snapshot each. A misspelt flag is an error, never ignored. */
import { describe, expect, it } from 'vitest'
import { commandLine, main } from '../../scripts/cli/main.ts'
import { COMMANDS } from '../../scripts/commands.ts'

describe.each(COMMANDS.map((command) => [command.name, command] as const))('%s', (_, command) => {
  it('prints its help', () => {
    let text = ''
    const cli = commandLine(command).configureOutput({ writeOut: (part) => (text += part) })
    cli.configureHelp({ helpWidth: 120 }).outputHelp()
    expect(text).toMatchSnapshot()
  })

  it('refuses a flag it does not know with exit code 2', async () => {
    let text = ''
    // Commander looks for missing flags first.
    const required = Object.entries(command.flags).flatMap(([name, flag]) => (flag.required ? [`--${name}`, 'x'] : []))
    const cli = commandLine(command).configureOutput({ writeErr: (part) => (text += part) })
    expect(await main(cli, [...required, '--no-such-flag'])).toBe(2)
    expect(text).toContain('--no-such-flag')
  })
})
