/** One line from a prompt to answers, on transformers.js. */
import { loadPrompted, type LabelScore } from 'soft-prompts/transformers'

export async function attach(prompt: string): Promise<{ readonly scores: LabelScore[][]; readonly answers: string[] }> {
  const pipe = await loadPrompted({ sentiment: prompt }, { base: 'models/t5-tiny-en' })
  const texts = ['A charming film with a clever ending.', 'The soup was cold and the waiter was awful.']
  const scores = await pipe.classify(texts) // [[{ label: 'positive', score: … }, …], …]
  // Each row of a batch may have its own prompt, or none.
  const generated = await pipe(texts, { soft_prompt: ['sentiment', null] })
  await pipe.dispose()
  return { scores, answers: generated.map(({ generated_text: text }) => text) }
}
