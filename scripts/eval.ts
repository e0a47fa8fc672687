/** `soft-prompts eval`: metrics of prompts on data files. */
import type { EvaluateFailure, EvaluateResult } from '../adapters/compose/evaluate.ts'
import { command, said, type Command } from './cli/command.ts'
import { DEVICE, ENGINE } from './cli/engine-flags.ts'

export const evaluate: Command = command({
  name: 'eval',
  summary: 'Measure prompts on data files: accuracy and F1 for labels, exact match for text.',
  args: [{ name: 'prompt', help: 'prompts: folders, bundles or Hub ids; with --ensemble a folder or bundle of several', variadic: true }],
  flags: {
    data: { kind: 'strings', value: 'file', help: 'rows to measure on: .jsonl, .csv, .tsv, .parquet, or - for JSON Lines', required: true },
    model: { kind: 'string', value: 'id|dir', help: 'base model, weights or ONNX files (default: the one the prompts name)' },
    dtype: { kind: 'string', value: 'd', help: "answer by the base's ONNX files of this dtype: fp32, fp16, q8, … (default: its weights)" },
    preset: { kind: 'repeated', value: 'task', help: "template, target and label words of a known task's rows: sst2, rte, squad, …" },
    template: { kind: 'repeated', value: 't', help: "input text with {field} names (default: the prompt's)" },
    target: {
      kind: 'repeated',
      value: 'field',
      help: "field with the answer, once for all files or once for each (default: the prompt's, else target)",
    },
    labelMap: {
      kind: 'repeated',
      value: 'json',
      help: 'raw answer to label word, as {"0": "negative"}, once for all files or once for each (default: the prompt\'s)',
    },
    labels: { kind: 'strings', value: 'word', help: "label words (default: the prompt's, else the answers)" },
    generate: { kind: 'boolean', help: 'compare generated text instead of scoring labels' },
    beams: {
      kind: 'number',
      value: 'N',
      help: "continuations followed side by side where text is generated (default: the prompt's, else 1: greedy)",
    },
    maxTokens: { kind: 'number', value: 'N', help: "tokens generated at most (default: the prompt's, else 64)" },
    bare: { kind: 'boolean', help: 'measure the base model without a prompt as well' },
    ensemble: { kind: 'string', value: 'how', help: 'measure all prompts as one as well: vote or mean', choices: ['vote', 'mean'] },
    predictions: { kind: 'string', value: 'file', help: 'write every row with its answer, as JSON Lines' },
    engine: ENGINE,
    device: DEVICE,
  },
  groups: {
    Data: ['data', 'preset', 'template', 'target', 'labelMap'],
    Model: ['model', 'dtype', 'engine', 'device'],
    Answers: ['labels', 'generate', 'maxTokens', 'beams', 'bare', 'ensemble', 'predictions'],
  },
  examples: [
    'soft-prompts eval my-prompt --data test.jsonl --predictions answers.jsonl',
    'soft-prompts eval seed-1 seed-2 --data test.jsonl --model ./t5-small --bare',
    'soft-prompts eval five --data test.jsonl --ensemble vote   # the folder that train --seeds 5 wrote',
    'soft-prompts eval my-prompt --data test.jsonl --model ./t5-small-onnx --dtype q8',
    'soft-prompts eval sst2 imdb --data sst2.jsonl --data imdb.jsonl   # a table: rows are prompts, columns data sets',
    'soft-prompts eval sst2 imdb --data sst2.csv --target label --data imdb.csv --target sentiment',
  ],
  run: async (prompts, flags, out) => {
    const { dataNames, evaluatePrompts } = await import('../adapters/compose/evaluate.ts')
    const { transferTable } = await import('../adapters/compose/transfer-table.ts')
    const { openPredictions } = await import('../adapters/compose/predictions.ts')
    const { ConfigError } = await import('../src/errors.ts')
    const { readingsOf } = await import('./cli/data-flags.ts')
    const { showResult, showTransfer } = await import('./cli/evaluation-view.ts')
    const { transferView } = await import('./cli/transfer.ts')
    // What stands in `rest` is the evaluation's by its own name.
    const { data, preset, template, target, labelMap, labels, generate, maxTokens, predictions, ...rest } = flags
    if (generate && labels) {
      throw new ConfigError('labels-generate', '--labels are scored, and --generate compares generated text instead: give one of them.')
    }
    const sources = readingsOf(data, said({ preset, template, target, labelMap }))
    const file = predictions === undefined ? undefined : await openPredictions(predictions, data)
    const results: EvaluateResult[] = []
    const failures: EvaluateFailure[] = []
    // One measurement that fails is the command's own error; of several the others go on.
    const alone = sources.length === 1 && prompts.length === 1
    const download = transferView(out, 'base model')
    const told = new Set<string>()
    const measured = evaluatePrompts({
      data: sources,
      prompts,
      onDownload: download.onProgress,
      onNote: (note) => out.note(`note: ${note}`),
      ...said({ ...rest, maxNewTokens: maxTokens }),
      ...(generate ? { labels: false } : labels ? { labels } : {}),
      ...(alone
        ? {}
        : {
            onFailure: (failure) => {
              failures.push(failure)
              // A file that cannot be read fails for every prompt alike.
              const line = `${failure.error.message} [${failure.error.code}]`
              if (!told.has(line)) out.note(`error: ${line}`)
              told.add(line)
            },
          }),
    })
    try {
      for await (const result of measured) {
        void download.stop()
        results.push(result)
        showResult(out, result)
        await file?.add(result)
      }
    } finally {
      await download.stop()
    }
    const transfer = transferTable(results, failures, dataNames(sources))
    if (transfer) showTransfer(out, transfer)
    // The rows themselves are asked for by --predictions.
    const figures = results.map((result) => Object.fromEntries(Object.entries(result).filter(([name]) => name !== 'predictions')))
    const failed = failures.map(({ prompt, data: on, error }) => ({ prompt, data: on, code: error.code, message: error.message }))
    const extras = { ...(transfer ? { transfer } : {}), ...(failed.length > 0 ? { failures: failed } : {}) }
    out.result(Object.keys(extras).length > 0 ? { results: figures, ...extras } : figures)
    const [first] = failures
    if (first) {
      throw new ConfigError(
        'eval-failed',
        `${failures.length} of ${failures.length + results.filter(({ single }) => !single).length} measurements failed; the first: ${first.error.message}`,
        { facts: { failures: failed }, cause: first.error },
      )
    }
  },
})
