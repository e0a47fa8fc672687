/** `soft-prompts eval`: metrics of prompts on data files. */
import { command, type Command } from './cli/command.ts'

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
    engine: { kind: 'string', value: 'name', help: 'what runs the graph', choices: ['onnxruntime', 'tfjs'], default: 'onnxruntime' },
    device: { kind: 'string', value: 'd', help: 'cpu (default), webgpu, cuda, dml, coreml or auto; of tfjs: auto (default), cuda or cpu' },
  },
  examples: [
    'soft-prompts eval my-prompt --data test.jsonl',
    'soft-prompts eval seed-1 seed-2 --data test.jsonl --model ./t5-small --bare',
  ],
  run: async (prompts, flags, out) => {
    const { evaluatePrompts } = await import('../adapters/compose/evaluate.ts')
    const { formatMetric } = await import('./cli/training-view.ts')
    const { labels, generate, model, template, beams, ...rest } = flags
    const results = []
    const measured = evaluatePrompts({
      ...rest,
      prompts,
      ...(beams === undefined ? {} : { beams }),
      ...(model === undefined ? {} : { model }),
      ...(template === undefined ? {} : { template }),
      ...(generate ? { labels: false } : labels ? { labels } : {}),
    })
    for await (const result of measured) {
      results.push(result)
      out.line(`${result.prompt} on ${result.data}: ${result.metrics.map(formatMetric).join(', ')}`)
      for (const { message } of result.warnings) out.note(`warning: ${message}`)
      if (result.truncatedInputs > 0) out.note(`warning: ${result.truncatedInputs} inputs were cut to the prompt's limit`)
    }
    out.result(results)
  },
})
