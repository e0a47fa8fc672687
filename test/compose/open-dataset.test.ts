/** Splits of Hub datasets: chosen by path as datasets lie there, fetched over real HTTP, used offline afterwards. */
import { readFileSync } from 'node:fs'
import { commit, createRepo } from '@huggingface/hub'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openData } from '../../adapters/compose/data.ts'
import { selectSplit } from '../../adapters/compose/open-dataset.ts'
import { presetOf } from '../../src/data/presets.ts'
import { startHub } from '../../adapters/hub/server/start.ts'

const GLUE = [
  'README.md',
  'sst2/train-00000-of-00001.parquet',
  'sst2/validation-00000-of-00001.parquet',
  'rte/train-00000-of-00001.parquet',
  'ax/test-00000-of-00001.parquet',
]
const MNLI = ['train', 'validation_matched', 'validation_mismatched', 'test_matched'].map((split) => `mnli/${split}-00000-of-00001.parquet`)
const ROUNDS = ['train_r1', 'train_r2', 'dev_r1'].map((split) => `plain_text/${split}-00000-of-00001.parquet`)
const chosen = (paths: string[], split: string, config?: string): string[] =>
  selectSplit(
    paths.map((path) => ({ path })),
    { repo: 'a/b', split, ...(config === undefined ? {} : { config }) },
  ).map(({ path }) => path)

describe('selectSplit', () => {
  it.each([
    [GLUE, 'train', 'sst2', ['sst2/train-00000-of-00001.parquet']],
    [GLUE, 'validation', undefined, ['sst2/validation-00000-of-00001.parquet']],
    [
      ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet', 'data/test-00000-of-00001.parquet'],
      'train',
      undefined,
      ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'],
    ],
    [['train.csv', 'test.csv', 'train.py', 'trainer.csv'], 'train', undefined, ['train.csv']],
    [['train.jsonl', 'extra/train.jsonl'], 'train', undefined, ['train.jsonl']],
    [MNLI, 'validation_matched', 'mnli', ['mnli/validation_matched-00000-of-00001.parquet']],
    [ROUNDS, 'train_r1', undefined, ['plain_text/train_r1-00000-of-00001.parquet']],
    [['reviews-train.jsonl', 'reviews_test.jsonl'], 'train', undefined, ['reviews-train.jsonl']],
    [
      ['data/a-b-00000-of-00001-0a1b2c3d4e5f.parquet', 'data/a-00000-of-00001.parquet'],
      'a-b',
      undefined,
      ['data/a-b-00000-of-00001-0a1b2c3d4e5f.parquet'],
    ],
    [['train_000.csv', 'train_001.csv', 'train_100.csv'], 'train', undefined, ['train_000.csv', 'train_001.csv', 'train_100.csv']],
    [['train.csv', 'train_r1.csv'], 'train', undefined, ['train.csv']],
    [
      ['mnli/validation_matched/0000.parquet', 'mnli/validation_mismatched/0000.parquet'],
      'validation_matched',
      'mnli',
      ['mnli/validation_matched/0000.parquet'],
    ],
  ])('%j %s %s', (paths, split, config, want) => {
    expect(chosen(paths, split, config)).toEqual(want)
  })

  it.each([
    ['train', undefined, 'dataset-config', /rte, sst2/],
    ['train', 'cola', 'dataset-config', /no configuration "cola"/],
    ['dev', 'sst2', 'dataset-split', /Splits found: train, validation\./],
  ])('%s %s is refused with what is there', (split, config, code, message) => {
    expect(() => chosen(GLUE, split, config)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })

  it.each([
    [MNLI, 'validation', 'mnli', /Name one of validation_matched, validation_mismatched/],
    [MNLI, 'matched', 'mnli', /no split "matched"/],
    [ROUNDS, 'train', undefined, /Name one of train_r1, train_r2/],
    [['reviews-train.jsonl', 'reviews_test.jsonl'], 'reviews', undefined, /Name one of reviews-train, reviews_test/],
    [['train_2019.jsonl', 'train_2020.jsonl'], 'train', undefined, /Name one of train_2019, train_2020/],
    [['train_r1.jsonl'], 'train', undefined, /Name one of train_r1/],
    [['a-train.csv', 'b-train.csv'], 'train', undefined, /Name one of a-train, b-train/],
  ])('%j: %s is refused, naming what is there, and never joined', (paths, split, config, message) => {
    expect(() => chosen(paths, split, config)).toThrow(
      expect.objectContaining({ code: 'dataset-split', message: expect.stringMatching(message) }),
    )
  })
})

/** A row of each class. */
const mnliRows = (split: string): string =>
  [0, 1, 2].map((label) => `${JSON.stringify({ premise: `${split} ${label}`, hypothesis: 'so', label, idx: label })}\n`).join('')

it('MNLI by its preset: the matched rows alone, and no word for both', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-mnli-'))
  const token = 'hf_datasets0123456789'
  const hub = await startHub({ dir: join(dir, 'hub'), tokens: { [token]: { name: 'me', role: 'write', orgs: [] } } })
  try {
    const repo = { type: 'dataset', name: 'me/glue' } as const
    await createRepo({ repo, accessToken: token, hubUrl: hub.url })
    const splits = ['train', 'validation_matched', 'validation_mismatched']
    await commit({
      repo,
      title: 'Rows',
      accessToken: token,
      hubUrl: hub.url,
      operations: splits.map((split) => ({
        operation: 'addOrUpdate',
        path: `mnli/${split}-00000-of-00001.jsonl`,
        content: new Blob([mnliRows(split)]),
      })),
    })
    const source = { repo: 'me/glue', config: 'mnli', cacheDir: join(dir, 'cache'), hubUrl: hub.url }
    const { examples } = await openData({ ...source, split: 'validation_matched' }, presetOf('mnli'))
    expect(examples.map(({ input, target }) => [input, target])).toEqual([
      ['hypothesis: so premise: validation_matched 0', 'entailment'],
      ['hypothesis: so premise: validation_matched 1', 'neutral'],
      ['hypothesis: so premise: validation_matched 2', 'contradiction'],
    ])
    const refused = expect.objectContaining({
      code: 'dataset-split',
      message: expect.stringMatching(/validation_matched, validation_mismatched/),
    })
    await expect(openData({ ...source, split: 'validation' }, presetOf('mnli'))).rejects.toEqual(refused)
  } finally {
    await hub.close()
    await rm(dir, { recursive: true, force: true })
  }
})

it('fetches a split into the cache and reads its rows, then without the hub', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'soft-prompts-dataset-'))
  const token = 'hf_datasets0123456789'
  const hub = await startHub({ dir: join(dir, 'hub'), tokens: { [token]: { name: 'me', role: 'write', orgs: [] } } })
  try {
    const repo = { type: 'dataset', name: 'me/films' } as const
    await createRepo({ repo, accessToken: token, hubUrl: hub.url })
    const parquet = readFileSync(new URL('../fixtures/rows/sample.parquet', import.meta.url))
    await commit({
      repo,
      title: 'Rows',
      accessToken: token,
      hubUrl: hub.url,
      operations: [
        { operation: 'addOrUpdate', path: 'data/train-00000-of-00002.parquet', content: new Blob([parquet]) },
        { operation: 'addOrUpdate', path: 'data/train-00001-of-00002.parquet', content: new Blob([parquet]) },
        { operation: 'addOrUpdate', path: 'data/test-00000-of-00001.parquet', content: new Blob([parquet]) },
      ],
    })
    const source = { repo: 'me/films', split: 'train', cacheDir: join(dir, 'cache'), hubUrl: hub.url }
    const options = { template: '{sentence}', target: 'label', labelMap: { '0': 'bad', '1': 'good' } }
    const data = await openData(source, options)
    expect(data.name).toBe('me/films')
    expect(data.examples.map(({ target }) => target)).toEqual(['good', 'bad', 'bad', 'good', 'bad', 'bad'])
    const pasted = await openData({ ...source, repo: `${hub.url}/datasets/me/films` }, options)
    expect([pasted.name, pasted.sha256]).toEqual(['me/films', data.sha256])
    await expect(openData({ ...source, repo: `${hub.url}/me/films` }, options)).rejects.toMatchObject({ code: 'hub-url' })
    await hub.close()
    const again = await openData({ ...source, offline: true }, options)
    expect(again.sha256).toBe(data.sha256)
  } finally {
    await hub.close().catch(() => {})
    await rm(dir, { recursive: true, force: true })
  }
})
