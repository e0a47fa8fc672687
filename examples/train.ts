/** Train a soft prompt on rows of `{ "input", "target" }` for a frozen T5 in a folder. */
import { drainTraining, exportOnnx, trainPrompt } from 'soft-prompts/node'

export async function train(out: string, steps = 300): Promise<void> {
  const events = trainPrompt({
    model: 'models/t5-tiny-en',
    baseId: 'me/t5-tiny-en', // by which others find the base
    data: 'examples/data/sentiment/train.jsonl',
    dev: 'examples/data/sentiment/dev.jsonl',
    out,
    recipe: { length: 20, steps, batch: 16, schedule: 'linear', evalEvery: 50 },
    task: 'Is the sentence for or against what it speaks of?',
  })
  const { bestStep, metrics } = await drainTraining(events, (event) => {
    if (event.type === 'evaluated') process.stdout.write(`step ${event.step}: ${event.metrics[0]?.value}\n`)
  })
  process.stdout.write(`${out}: the prompt of step ${bestStep}, ${JSON.stringify(metrics)}\n`)
  // The base as ONNX files, for attaching; bases on the Hub often have them already.
  await exportOnnx('models/t5-tiny-en', 'models/t5-tiny-en', { overwrite: true })
}
