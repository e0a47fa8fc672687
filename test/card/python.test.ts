/** The cards in hub-cards/examples as huggingface_hub reads them: results come back equal. Skipped where there is no Python with it. */
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { ALL_MODEL_LIBRARY_KEYS, PIPELINE_TYPES } from '@huggingface/tasks'
import { describe, expect, it } from 'vitest'
import { readPromptFolder } from '../../adapters/artifact/folder.ts'
import { checkCardData, readCardData } from '../../src/card/front-matter.ts'
import { hasPython } from '../artifact/python.ts'

const examples = new URL('../../hub-cards/examples/', import.meta.url).pathname
const python = process.env['SOFT_PROMPTS_PYTHON'] ?? resolve(import.meta.dirname, '../../.peers/bin/python')
const cards = (await readdir(examples, { recursive: true })).filter((name) => name.endsWith('README.md')).toSorted()

/** What an unfilled template, a missing value or a template that was not rendered leaves behind. */
const PLACEHOLDERS =
  /more information needed|\[optional\]|\bTODO\b|\bTBD\b|FIXME|\bN\/A\b|lorem ipsum|\bOWNER\b|your-|<[A-Z_ ]+>|undefined|\bnull\b|\bNaN\b|\[object|\{\{|\{%|: *\n\n(?!```)|\| *\| *\|/i

describe('every example', () => {
  it('there are cards of prompts and of a pack', () => expect(cards).toEqual(['README.md', 'sentiment/README.md', 'topic/README.md']))

  it.each(cards)('%s holds no placeholder, and front matter that the Hub knows', async (name) => {
    const card = await readFile(join(examples, name), 'utf8')
    // An empty cell and an empty heading are placeholders too, but for the head of a table without titles and what has nothing to be compared with; what folds is none.
    const told = card
      .replaceAll('\n| | |\n', '\n')
      .replaceAll(/^(?:\| `encoder_model\.onnx` .*|<details><summary>[\w ,]+<\/summary>|<\/details>)$/gm, '')
    expect(told.match(PLACEHOLDERS)).toBeNull()
    expect(told.match(/^#+ .*\n+(?=#|<!-- \/)/gm)).toBeNull()
    const data = readCardData(card, true)
    expect(checkCardData(data)).toEqual([])
    expect(PIPELINE_TYPES).toContain(data['pipeline_tag'])
    expect(ALL_MODEL_LIBRARY_KEYS).toContain(data['library_name'])
  })
})

describe.skipIf(!hasPython('huggingface_hub'))('huggingface_hub', () => {
  it('accepts each card; its results, written back by its own means, are those of the manifest', async () => {
    const script = `
import sys, json; from huggingface_hub import ModelCard, ModelCardData
found = []
for path in sys.argv[1:]:
    card = ModelCard.load(path)
    again = ModelCardData(**{k: v for k, v in card.data.to_dict().items() if k != "model-index"}, model_name=card.data.model_name, eval_results=card.data.eval_results) if card.data.eval_results else card.data
    found.append([again.to_dict() == card.data.to_dict(), [[e.task_type, e.metric_type, e.metric_value, e.metric_name] for e in card.data.eval_results or []]])
print(json.dumps(found))`
    const env = { ...process.env, HF_HUB_OFFLINE: '1' }
    const { stdout } = await promisify(execFile)(python, ['-c', script, ...cards.map((name) => join(examples, name))], { env })
    const expected = cards.map(async (name) => {
      if (name === 'README.md') return [true, []]
      const { metrics = [] } = (await readPromptFolder(dirname(join(examples, name)))).manifest
      return [
        true,
        metrics.map(({ name: type, value, split, n }) => ['text-classification', type, value, `${type} on ${split} (n = ${n})`]),
      ]
    })
    expect(JSON.parse(stdout)).toEqual(await Promise.all(expected))
  })
})
