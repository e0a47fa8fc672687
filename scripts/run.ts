/** `soft-prompts run`: answers of prompts to texts, or to rows of several fields. */
import { command, said, type Command } from './cli/command.ts'
import { DEVICE, ENGINE } from './cli/engine-flags.ts'

export const run: Command = command({
  name: 'run',
  summary: 'Ask prompts: the last argument is the text, or give --field or --file (- is standard input).',
  args: [{ name: 'prompt', help: 'prompts: folders, bundles or Hub ids; then the text', variadic: true }],
  flags: {
    model: { kind: 'string', value: 'id|dir', help: 'base model, weights or ONNX files (default: the one the prompts name)' },
    dtype: { kind: 'string', value: 'd', help: "answer by the base's ONNX files of this dtype: fp32, fp16, q8, … (default: its weights)" },
    file: {
      kind: 'string',
      value: 'file',
      help: 'rows (.jsonl, .csv, .tsv, .parquet), or texts, one a line; - is standard input (texts or JSON rows)',
    },
    field: { kind: 'repeated', value: 'name=value', help: 'a field of the template, where it has several; once for each' },
    ensemble: {
      kind: 'string',
      value: 'how',
      help: 'join the answers of all prompts (a folder or bundle of several may be given): vote or mean',
      choices: ['vote', 'mean'],
    },
    maxTokens: { kind: 'number', value: 'N', help: "tokens generated at most (default: the prompt's, else 64)" },
    beams: { kind: 'number', value: 'N', help: "continuations followed side by side (default: the prompt's, else 1: greedy)" },
    engine: ENGINE,
    device: DEVICE,
  },
  examples: [
    'soft-prompts run my-prompt "a stirring , funny film"',
    'soft-prompts run nli --field premise="A man sleeps ." --field hypothesis="Nobody is awake ."',
    'soft-prompts run nli --file pairs.csv --json',
    'soft-prompts run seed-1 seed-2 seed-3 --file reviews.txt --ensemble vote --json',
    'soft-prompts run five "a stirring , funny film" --ensemble vote   # the folder that train --seeds 5 wrote',
    'soft-prompts run my-prompt "a stirring , funny film" --model ./t5-small-onnx --dtype q8',
  ],
  run: async (args, flags, out) => {
    const { answers } = await import('../adapters/compose/answer.ts')
    const { ConfigError, DataError, SoftPromptError } = await import('../src/errors.ts')
    const { transferView } = await import('./cli/transfer.ts')
    const { fieldsOf, howToAsk, inputsOf, isPrompt } = await import('./cli/asked.ts')
    const { file, field, ensemble, beams, device, model, dtype, engine, maxTokens } = flags
    const fields = field && fieldsOf(field)
    if (fields && file !== undefined) throw new ConfigError('run-text', '--field and --file both say what is asked: give one of them.')
    const texted = file === undefined && fields === undefined
    const prompts = texted ? args.slice(0, -1) : args
    const last = args.at(-1)
    const noText = texted && last !== undefined && isPrompt(last)
    if (prompts.length === 0 || noText) {
      const what = noText ? `The last argument, ${last}, is a prompt; the text is missing` : 'Name a prompt and a text'
      throw new ConfigError(
        'run-text',
        `${what}: soft-prompts run my-prompt "the text", --field NAME=VALUE for a template of several fields, or --file FILE (- is standard input).`,
      )
    }
    const asked = fields ? { texts: [fields], where: () => 'the fields' } : await inputsOf(file, args.slice(-1), out.json)
    const alone = file === undefined && prompts.length === 1 && ensemble === undefined
    const download = transferView(out, 'base model')
    let shown = ''
    const answering = answers({
      prompts,
      ...asked,
      onDownload: download.onProgress,
      onNote: (note) => out.note(`note: ${note}`),
      ...said({ engine, device, beams, ensemble, model, dtype, maxNewTokens: maxTokens }),
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
      for await (const each of answering) {
        void download.stop()
        const { prompt, text, answer, labels } = each
        all.push(each)
        const scores = labels ? `  (${labels.map(({ label, score }) => `${label} ${(100 * score).toFixed(1)} %`).join(', ')})` : ''
        const whose = prompts.length > 1 && ensemble === undefined ? `${prompt}: ` : ''
        const told = answer.startsWith(shown) ? answer.slice(shown.length) : `\n${answer}`
        out.line(`${whose}${file === undefined ? '' : `${text.replaceAll(/\s*\n\s*/g, ' ')} -> `}${told}${scores}`)
      }
    } catch (error) {
      if (!(error instanceof SoftPromptError) || error.code !== 'template-fields') throw error
      throw new ConfigError(error.code, `${error.message}${howToAsk(prompts, error.facts['fields'])}`, { facts: error.facts, cause: error })
    } finally {
      await download.stop()
    }
    if (all.length === 0)
      throw new DataError('rows-none', `${file === '-' ? 'Standard input' : file} holds nothing to ask: give a text or a row a line.`)
    out.result(all)
  },
})
