/** Metrics of prompts on data files: the library's `eval`. */
import { encodeExamples, labelsOf } from '../../src/data/examples.ts'
import type { Metric } from '../../src/prompt/manifest.ts'
import { evaluate } from '../../src/train/evaluate.ts'
import { openData, type DataOptions } from './data.ts'
import { openPrompted, type PromptedOptions } from './prompted.ts'

export interface EvaluateOptions extends PromptedOptions, DataOptions {
  readonly data: readonly string[]
  /** Label words; default: the prompt's own, else the data's. `false` = compare generated text. */
  readonly labels?: readonly string[] | false
  readonly signal?: AbortSignal
  /** Continuations followed side by side where text is generated. Default 1: greedy. */
  readonly beams?: number
  /** Also the bare model, as `(no prompt)`. */
  readonly bare?: boolean
}

export interface EvaluateResult {
  readonly prompt: string
  readonly data: string
  readonly metrics: readonly Metric[]
  readonly truncatedInputs: number
  readonly warnings: readonly { readonly code: string; readonly message: string }[]
}

const MOST_TOKENS = { maxInput: 512, maxTarget: 128 }

/** Evaluates every prompt on every file, in order, one result as soon as it is there. */
export async function* evaluatePrompts(options: EvaluateOptions): AsyncGenerator<EvaluateResult, void> {
  const prompted = await openPrompted(options)
  const { base, model } = prompted
  try {
    for (const path of options.data) {
      for (const { name, prompt } of [...(options.bare ? [{ name: '(no prompt)', prompt: undefined }] : []), ...prompted.prompts]) {
        const template = options.template ?? (prompt ?? prompted.prompts[0]?.prompt)?.manifest.template
        const data = await openData(path, { ...options, ...(template === undefined ? {} : { template }) })
        const recipe = (prompt ?? prompted.prompts[0]?.prompt)?.manifest.recipe
        const { examples, truncatedInputs } = encodeExamples(data.examples, base.tokenizer, {
          maxInput: recipe?.maxInputTokens ?? MOST_TOKENS.maxInput,
          maxTarget: recipe?.maxTargetTokens ?? MOST_TOKENS.maxTarget,
        })
        const labels =
          options.labels === false
            ? undefined
            : (options.labels ?? (prompt ?? prompted.prompts[0]?.prompt)?.manifest.labels ?? labelsOf(data.examples))
        const { metrics, warnings } = await evaluate(
          {
            model,
            tokenizer: base.tokenizer,
            startId: base.config.startId,
            rows: examples.map(({ inputIds, targetIds }, index) => ({ inputIds, targetIds, target: data.examples[index]?.target ?? '' })),
            ...(labels ? { labels } : {}),
            split: data.name,
            ...(options.beams === undefined ? {} : { beams: options.beams }),
            ...(options.signal ? { signal: options.signal } : {}),
          },
          prompt && { data: prompt.embeddings.data, width: base.config.width },
        )
        yield { prompt: name, data: data.name, metrics, truncatedInputs, warnings }
      }
    }
  } finally {
    await prompted.dispose()
  }
}
