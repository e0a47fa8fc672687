/** `soft-prompts eval`: metrics of prompts on data files. */
import type { EvaluateResult } from '../adapters/compose/evaluate.ts'
import { command, type Command } from './cli/command.ts'
import { DEVICE, ENGINE } from './cli/engine-flags.ts'

export const evaluate: Command = command({
  name: 'eval',
  summary: 'Measure prompts on data files: accuracy and F1 for labels, exact match for text.',
  args: [{ name: 'prompt', help: 'prompt folders or bundles', variadic: true }],
  flags: {
    data: { kind: 'strings', value: 'file', help: 'rows to measure on', required: true },
    model: { kind: 'string', value: 'id|dir', help: 'base model (default: the one the prompts name)' },
    template: { kind: 'string', value: 't', help: "input text with {field} names (default: the prompt's)" },
    target: { kind: 'string', value: 'field', help: 'field with the answer', default: 'target' },
    labels: { kind: 'strings', value: 'word', help: "label words (default: the prompt's, else the answers)" },
    generate: { kind: 'boolean', help: 'compare generated text instead of scoring labels' },
    beams: { kind: 'number', value: 'N', help: 'continuations followed side by side where text is generated (default 1: greedy)' },
    bare: { kind: 'boolean', help: 'measure the base model without a prompt as well' },
    ensemble: { kind: 'string', value: 'how', help: 'measure all prompts as one as well: vote or mean', choices: ['vote', 'mean'] },
    engine: ENGINE,
    device: DEVICE,
  },
  examples: [
    'soft-prompts eval my-prompt --data test.jsonl',
    'soft-prompts eval seed-1 seed-2 --data test.jsonl --model ./t5-small --bare',
    'soft-prompts eval seed-1 seed-2 seed-3 --data test.jsonl --ensemble vote',
    'soft-prompts eval sst2 imdb --data sst2.jsonl --data imdb.jsonl   # a table: rows are prompts, columns data sets',
  ],
  run: async (prompts, flags, out) => {
    const { evaluatePrompts, transferTable } = await import('../adapters/compose/evaluate.ts')
    const { formatMetric, percent } = await import('./cli/figures.ts')
    const { transferView } = await import('./cli/transfer.ts')
    const { labels, generate, model, template, beams, ensemble, ...rest } = flags
    const results: EvaluateResult[] = []
    const download = transferView(out, 'base model')
    const measured = evaluatePrompts({
      ...rest,
      prompts,
      onDownload: download.onProgress,
      ...(beams === undefined ? {} : { beams }),
      ...(ensemble === undefined ? {} : { ensemble }),
      ...(model === undefined ? {} : { model }),
      ...(template === undefined ? {} : { template }),
      ...(generate ? { labels: false } : labels ? { labels } : {}),
    })
    try {
      for await (const result of measured) {
        void download.stop()
        results.push(result)
        out.line(`${result.prompt} on ${result.data}: ${result.metrics.map(formatMetric).join(', ')}`)
        const { single } = result
        if (single) out.line(`  its prompts alone: mean ${percent(single.mean)} %, best ${percent(single.best)} % (${single.bestPrompt})`)
        for (const { message } of result.warnings) out.note(`warning: ${message}`)
        if (result.truncatedInputs > 0) out.note(`warning: ${result.truncatedInputs} inputs were cut to the prompt's limit`)
      }
    } finally {
      await download.stop()
    }
    const transfer = transferTable(results)
    if (transfer) {
      out.line(`\n${transfer.metric}, %: rows are prompts, columns data sets`)
      out.table(
        ['prompt', ...transfer.data],
        transfer.rows.map(({ prompt, values }) => [prompt, ...values.map(percent)]),
      )
    }
    out.result(transfer ? { results, transfer } : results)
  },
})
