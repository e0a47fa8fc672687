/** `soft-prompts doctor`: what is installed, what starts, what can be reached. */
import { command, type Command } from './cli/command.ts'

export const doctor: Command = command({
  name: 'doctor',
  summary: 'Tell what is installed here, which devices start, and whether the cache and the Hub can be used.',
  flags: {
    app: { kind: 'string', value: 'dir', help: 'folder of the app whose packages are meant (default: this one)' },
  },
  examples: ['soft-prompts doctor', 'HF_ENDPOINT=http://127.0.0.1:8090 soft-prompts doctor --json'],
  async run(_, { app }, out) {
    const { diagnose } = await import('../adapters/compose/doctor.ts')
    const checks = await diagnose(app === undefined ? {} : { app })
    for (const { name, standing, detail } of checks) out.line(`${standing.padEnd(7)}  ${name}: ${detail}`)
    out.result(checks)
    if (checks.some(({ standing }) => standing === 'failed')) process.exitCode = 1
  },
})
