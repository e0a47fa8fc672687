/** The official Python client against the local hub and the shared cache. Skipped where there is no Python with huggingface_hub (see CONTRIBUTING). */
import { execFile, execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { pullPrompt } from '../../adapters/hub/pull.ts'
import { pushPrompt } from '../../adapters/hub/push.ts'
import { promptCard } from '../../hub-cards/prompt.ts'
import { renderCard } from '../../src/card/card.ts'
import { faultProxy, folder, hub, promptFiles, promptFolder, readFiles, same, TOKEN, writeFiles } from './helpers.ts'

const python = process.env['SOFT_PROMPTS_PYTHON'] ?? resolve(import.meta.dirname, '../../.peers/bin/python')
const has = (modules: string): boolean => {
  try {
    execFileSync(python, ['-c', `import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in "${modules}".split()))`], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}
const hasHub = has('huggingface_hub')

const run = async (url: string, home: string, script: string, ...args: string[]): Promise<string> => {
  const env = {
    ...process.env,
    HF_ENDPOINT: url,
    HF_HOME: home,
    HF_TOKEN: TOKEN,
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
    HF_HUB_OFFLINE: '0',
    PYTHONWARNINGS: 'ignore',
  }
  const { stdout } = await promisify(execFile)(python, ['-c', script, ...args], { env, timeout: 100_000 })
  return stdout.trim()
}

describe.skipIf(!hasHub)('huggingface_hub', () => {
  it('uploads what we pull, byte-identical', async () => {
    const { url } = await hub()
    const dir = await promptFolder()
    const script = `
import sys; from huggingface_hub import HfApi
api = HfApi(); api.create_repo("me/from-python", exist_ok=True); api.create_repo("me/from-python", exist_ok=True)
first = api.upload_folder(repo_id="me/from-python", folder_path=sys.argv[1]).oid
again = api.upload_folder(repo_id="me/from-python", folder_path=sys.argv[1]).oid
assert first == again, "an upload without changes made a commit"
api.create_branch("me/from-python", branch="exp/one"); api.create_tag("me/from-python", tag="v1.0")
refs = api.list_repo_refs("me/from-python")
assert [b.name for b in refs.branches] == ["exp/one", "main"] and [t.name for t in refs.tags] == ["v1.0"], refs
assert len(api.list_repo_commits("me/from-python")) == 2
assert {f.path for f in api.list_repo_tree("me/from-python", recursive=True, expand=True)} >= {"README.md", "runs", "runs/events.out.tfevents.1"}
assert [f.path for f in api.get_paths_info("me/from-python", ["README.md", "none"], expand=True)] == ["README.md"]
assert api.whoami()["name"] == "me"
info = api.model_info("me/from-python", files_metadata=True)
assert info.card_data.base_model == "google-t5/t5-small" and info.library_name == "peft", info
assert [m.id for m in api.list_models(author="me", filter="soft-prompts")] == ["me/from-python"]
assert [m.id for m in api.list_models(filter="base_model:google-t5/t5-small")] == ["me/from-python"]
print(first)`
    const commit = await run(url, await folder(), script, dir)
    const pulled = await pullPrompt({ repo: 'me/from-python', revision: 'v1.0', hubUrl: url, cacheDir: await folder() })
    expect(pulled.commit).toBe(commit)
    expect(await readFiles(pulled.dir)).toEqual(promptFiles())
    const branch = await pullPrompt({ repo: 'me/from-python', revision: 'exp/one', hubUrl: url, cacheDir: await folder() })
    expect(branch.commit).toBe(commit)
  })

  it('downloads what we pushed, byte-identical, and shares one cache with us', async () => {
    const { url } = await hub()
    await pushPrompt({ dir: await promptFolder(), repo: 'me/sst2', hubUrl: url, token: TOKEN, private: true })
    const home = await folder()
    const script = 'from huggingface_hub import snapshot_download; print(snapshot_download("me/sst2"))'
    const theirs = await run(url, home, script)
    expect(await readFiles(theirs)).toEqual(promptFiles())
    const ours = await pullPrompt({ repo: 'me/sst2', hubUrl: url, token: TOKEN, cacheDir: join(home, 'hub') })
    expect(ours).toMatchObject({ dir: theirs, downloadedBytes: 0 })
    // And the other way round: what we pulled, Python finds without a network.
    const fresh = await folder()
    const pulled = await pullPrompt({ repo: 'me/sst2', hubUrl: url, token: TOKEN, cacheDir: join(fresh, 'hub') })
    const found = await run('http://127.0.0.1:9', fresh, script.replace('"me/sst2"', '"me/sst2", local_files_only=True'))
    expect(found).toBe(pulled.dir)
  })

  it('pulls at the same time as we do into one cache', async () => {
    const server = await hub()
    const log = Buffer.from(Array.from({ length: 60_000 }, (_, step) => `{"step":${step},"loss":1}`).join('\n'))
    const files = promptFiles().set('training_log.jsonl', log)
    await pushPrompt({ dir: await writeFiles(join(await folder(), 'big'), files), repo: 'me/sst2', hubUrl: server.url, token: TOKEN })
    // One file comes late, so that all are under way at once.
    const proxy = await faultProxy(server, ({ url, method }) =>
      method === 'GET' && url?.includes('training_log') ? { kind: 'delay', ms: 2000 } : undefined,
    )
    const home = await folder()
    const script = 'from huggingface_hub import snapshot_download; print(snapshot_download("me/sst2"))'
    const theirs = [run(proxy.url, home, script), run(proxy.url, home, script)]
    const pull = async (): Promise<string> =>
      (await pullPrompt({ repo: 'me/sst2', hubUrl: proxy.url, token: TOKEN, cacheDir: join(home, 'hub') })).dir
    const dirs = await Promise.all([...theirs, pull(), pull()])
    expect(new Set(dirs).size).toBe(1)
    expect(same(await readFiles(dirs[0] as string), files)).toBe(true)
  })

  it('takes a private repository for a missing one without a token, and reads error codes', async () => {
    const { url } = await hub()
    await pushPrompt({ dir: await promptFolder(), repo: 'me/secret', hubUrl: url, token: TOKEN, private: true })
    const script = `
from huggingface_hub import HfApi, hf_hub_download; from huggingface_hub.errors import *
def name(f):
    try: f(); return "none"
    except Exception as e: return type(e).__name__
api = HfApi()
print(name(lambda: HfApi(token=False).model_info("me/secret")), name(lambda: hf_hub_download("me/secret", "none.txt")),
  name(lambda: api.model_info("me/secret", revision="none")), name(lambda: api.model_info("me/missing")),
  name(lambda: api.upload_file(path_or_fileobj=b"---\\ntags: 3\\n---\\n", path_in_repo="README.md", repo_id="me/secret")))`
    expect(await run(url, await folder(), script)).toBe(
      'RepositoryNotFoundError RemoteEntryNotFoundError RevisionNotFoundError RepositoryNotFoundError ValueError',
    )
  })

  it.skipIf(!hasHub || !has('peft'))('PEFT reads a pushed prompt from the hub', async () => {
    const { url } = await hub()
    await pushPrompt({ dir: await promptFolder(), repo: 'me/sst2', hubUrl: url, token: TOKEN })
    const script = `
from peft import PeftConfig, load_peft_weights
config = PeftConfig.from_pretrained("me/sst2"); weights = load_peft_weights("me/sst2", device="cpu")
print(config.peft_type.value, config.num_virtual_tokens, weights["prompt_embeddings"].numpy().tobytes().hex())`
    const [type, length, hex] = (await run(url, await folder(), script)).split('\n').at(-1)?.split(' ') ?? []
    expect([type, length]).toEqual(['PROMPT_TUNING', '5'])
    expect(hex).toBe(promptFiles().get('adapter_model.safetensors')?.subarray(-320).toString('hex'))
  })

  it('reads the front matter of our cards, its evaluation results equal', async () => {
    const facts = {
      manifest: {
        base: { id: 'google-t5/t5-small' },
        labels: ['no', 'yes: "sure"'],
        data: { name: 'nyu-mll/glue', rows: 3, sha256: 'ab'.repeat(32) },
        metrics: [
          { name: 'accuracy', split: 'dev', value: 0.8853, n: 872 },
          { name: 'f1', split: 'dev', value: 0.9, n: 872 },
        ],
      },
      length: 5,
      width: 16,
      repo: 'me/x',
      license: 'apache-2.0',
      language: ['en'],
    }
    const dir = await writeFiles(await folder(), new Map([['README.md', Buffer.from(renderCard(facts, promptCard))]]))
    const script = `
import sys, json; from huggingface_hub import ModelCard
data = ModelCard.load(sys.argv[1]).data
print(json.dumps([data.license, data.language, data.base_model, data.library_name, data.pipeline_tag, data.tags, data.datasets, data.metrics, data.model_name,
  [[e.task_type, e.dataset_type, e.dataset_name, e.metric_type, e.metric_value] for e in data.eval_results]]))`
    const { url } = await hub()
    expect(JSON.parse(await run(url, await folder(), script, join(dir, 'README.md')))).toEqual([
      'apache-2.0',
      ['en'],
      'google-t5/t5-small',
      'peft',
      'text-classification',
      ['soft-prompts', 'prompt-tuning', 'transformers.js'],
      ['nyu-mll/glue'],
      ['accuracy', 'f1'],
      'x',
      [
        ['text-classification', 'nyu-mll/glue', 'nyu-mll/glue', 'accuracy', 0.8853],
        ['text-classification', 'nyu-mll/glue', 'nyu-mll/glue', 'f1', 0.9],
      ],
    ])
  })

  it('hf upload and hf download, the commands', async () => {
    const { url } = await hub()
    const dir = await promptFolder(3)
    const home = await folder()
    const hf = resolve(python, '../hf')
    const env = { ...process.env, HF_ENDPOINT: url, HF_HOME: home, HF_TOKEN: TOKEN, HF_HUB_OFFLINE: '0' }
    await promisify(execFile)(hf, ['upload', 'me/by-hf', dir], { env })
    const out = join(home, 'out')
    await promisify(execFile)(hf, ['download', 'me/by-hf', '--local-dir', out], { env })
    expect(await readFile(join(out, 'adapter_model.safetensors'))).toEqual(promptFiles(3).get('adapter_model.safetensors'))
  })
})
