/** Pasted addresses of the Hub's pages. */
import { expect, it } from 'vitest'
import { parseHubUrl } from '../../src/prompt/hub-url.ts'

const repo = 'me/sst2'

it.each([
  ['https://huggingface.co/me/sst2', { repo }],
  ['https://huggingface.co/me/sst2/', { repo }],
  ['http://huggingface.co/me/sst2?library=peft#usage', { repo }],
  ['https://www.huggingface.co/me/sst2', { repo }],
  ['https://hf.co/me/sst2', { repo }],
  ['hf.co/me/sst2', { repo }],
  ['huggingface.co/me/sst2/tree/v2', { repo, revision: 'v2' }],
  ['https://huggingface.co/me/sst2/tree/main', { repo, revision: 'main' }],
  ['https://huggingface.co/me/sst2/tree/main/deep/mood%20a', { repo, revision: 'main', folder: 'deep/mood a' }],
  ['https://huggingface.co/me/sst2/blob/0123abc/adapter_config.json', { repo, revision: '0123abc' }],
  ['https://huggingface.co/me/sst2/resolve/main/README.md?download=true', { repo, revision: 'main' }],
  ['https://huggingface.co/me/sst2/tree/refs%2Fpr%2F1', { repo, revision: 'refs/pr/1' }],
  ['https://huggingface.co/me/sst2/commit/0123abc', { repo, revision: '0123abc' }],
  ['https://huggingface.co/me/sst2/discussions/4', { repo }],
  ['me/sst2', undefined],
  ['./huggingface.co/me', undefined],
  ['C:\\prompts', undefined],
])('%s', (text, want) => {
  expect(parseHubUrl(text)).toEqual(want)
})

it.each([
  ['http://127.0.0.1:8090/me/sst2/tree/dev', 'http://127.0.0.1:8090', { repo, revision: 'dev' }],
  ['127.0.0.1:8090/me/sst2', 'http://127.0.0.1:8090', { repo }],
  ['https://hub.example/mirror/me/sst2/blob/v1/x', 'https://hub.example/mirror', { repo, revision: 'v1' }],
  ['https://huggingface.co/me/sst2', 'http://127.0.0.1:8090', { repo }],
])('%s of the hub %s', (text, hubUrl, want) => {
  expect(parseHubUrl(text, hubUrl)).toEqual(want)
})

it.each([
  ['https://huggingface.co/datasets/me/rows', { repo: 'me/rows' }],
  ['hf.co/datasets/me/rows/viewer/sst2/train', { repo: 'me/rows' }],
  ['https://huggingface.co/datasets/me/rows/tree/v2/data', { repo: 'me/rows', revision: 'v2', folder: 'data' }],
  ['me/rows', undefined],
])('%s as a data set', (text, want) => {
  expect(parseHubUrl(text, undefined, 'dataset')).toEqual(want)
})

it('a model is no data set', () => {
  expect(() => parseHubUrl('https://huggingface.co/me/sst2', undefined, 'dataset')).toThrow(
    /is a model, not a data set\. Give OWNER\/NAME, or .*huggingface\.co\/datasets\/OWNER\/NAME/,
  )
})

it.each([
  ['https://example.com/me/sst2', 'not of this Hub (huggingface.co)'],
  ['https://huggingface.co/datasets/me/rows', 'is a data set, not a model'],
  ['https://huggingface.co/spaces/me/app', 'is a space, not a model'],
  ['https://huggingface.co/me', 'names no repository'],
  ['https://huggingface.co', 'names no repository'],
  ['https://', 'is no address'],
  ['https://huggingface.co/me/sst2/tree/%zz', 'is no address'],
  ['https://huggingface.co/me/sst2/tree/main/%e0%a4', 'is no address'],
])('refuses %s', (text, words) => {
  expect(() => parseHubUrl(text)).toThrow(expect.objectContaining({ code: 'hub-url', message: expect.stringContaining(words) }))
})
