/** `soft-prompts run`: answers of prompts to texts. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { command, type Command } from './cli/command.ts'
import { DEVICE, ENGINE } from './cli/engine-flags.ts'

export const run: Command = command({
  name: 'run',
  summary: 'Ask prompts: the last argument is the text, or give --file (- is standard input).',
  args: [{ name: 'prompt', help: 'prompt folders or bundles, then the text', variadic: true }],
  flags: {
    model: { kind: 'string', value: 'id|dir', help: 'base model (default: the one the prompts name)' },
    file: { kind: 'string', value: 'file', help: 'texts, one a line; - is standard input' },
    ensemble: { kind: 'string', value: 'how', help: 'join the answers: vote or mean', choices: ['vote', 'mean'] },
    maxTokens: { kind: 'number', value: 'N', help: 'tokens generated at most', default: 64 },
    beams: { kind: 'number', value: 'N', help: 'continuations followed side by side (default 1: greedy)' },
    engine: ENGINE,
    device: DEVICE,
  },
  examples: [
    'soft-prompts run my-prompt "a stirring , funny film"',
    'soft-prompts run seed-1 seed-2 seed-3 --file reviews.txt --ensemble vote --json',
  ],
  run: async (args, flags, out) => {
    const { answers } = await import('../adapters/compose/answer.ts')
    const { ConfigError } = await import('../src/errors.ts')
    const { readLines, standardInputLines } = await import('../adapters/rows/lines.ts')
    const { transferView } = await import('./cli/transfer.ts')
    const { file, ensemble, beams, device, model, engine, maxTokens } = flags
    const prompts = file === undefined ? args.slice(0, -1) : args
    const last = args.at(-1)
    const noText = file === undefined && last !== undefined && existsSync(join(last, 'adapter_config.json'))
    if (prompts.length === 0 || noText) {
      const what = noText ? `The last argument, ${last}, is a prompt; the text is missing` : 'Name a prompt and a text'
      throw new ConfigError('run-text', `${what}: soft-prompts run my-prompt "the text", or --file FILE (- is standard input).`)
    }
    const alone = file === undefined && prompts.length === 1
    const download = transferView(out, 'base model')
    let shown = ''
    const asked = answers({
      prompts,
      texts: file === undefined ? args.slice(-1) : file === '-' && !out.json ? standardInputLines() : await readLines(file),
      maxNewTokens: maxTokens,
      engine,
      onDownload: download.onProgress,
      ...(beams === undefined ? {} : { beams }),
      ...(device === undefined ? {} : { device }),
      ...(model === undefined ? {} : { model }),
      ...(ensemble === undefined ? {} : { ensemble }),
      // One text grows before the reader's eyes.
      ...(alone
        ? {
            onText: (_: string, __: string, text: string): void => {
              if (!text.startsWith(shown)) return
              void download.stop()
              out.part(text.slice(shown.length))
              shown = text
            },
          }
        : {}),
    })
    const all = []
    try {
      for await (const each of asked) {
        void download.stop()
        const { prompt, text, answer, labels } = each
        all.push(each)
        const scores = labels ? `  (${labels.map(({ label, score }) => `${label} ${(100 * score).toFixed(1)} %`).join(', ')})` : ''
        const whose = prompts.length > 1 && ensemble === undefined ? `${prompt}: ` : ''
        const told = answer.startsWith(shown) ? answer.slice(shown.length) : `\n${answer}`
        out.line(`${whose}${file === undefined ? '' : `${text} -> `}${told}${scores}`)
      }
    } finally {
      await download.stop()
    }
    out.result(all)
  },
})
