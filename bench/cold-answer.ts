/** One answer from a cold process: node dist/bench/cold-answer.js BASE PROMPT TEXT TOKENS [MEMORY]. attach-peers.ts runs it. */
import { loadPrompted } from '../adapters/compose/transformers.ts'

const [base = '', prompt = '', text = '', tokens = '8', memory = 'fast'] = process.argv.slice(2)
const pipe = await loadPrompted(prompt, { base, dtype: 'fp32', memory: memory as 'fast' | 'low' })
const [answer] = await pipe(text, { max_new_tokens: Number(tokens) })
process.stdout.write(`${JSON.stringify({ text: answer?.generated_text })}\n`)
