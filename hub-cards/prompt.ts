/**
 * The card of one prompt: Markdown with Jinja. A module rather than a .md file, so that it loads in a browser too. Each section stands between marks
 * and is left out where its facts are missing; values arrive escaped for their place (src/card/card.ts names them and their sources).
 */
export const promptCard: string = `
<!-- soft-prompts:summary -->
# {{ title }}

A soft prompt of {{ length }} virtual tokens for the frozen {{ base }}{% if task %}: {{ task }}{{ task_stop }}{% else %}.{% endif %}

{% if result %}

**{{ result }}{% if bare %}; without the prompt {{ bare }}{% endif %}.**
{% endif %}
{% if size %}

{{ parameters }} parameters, {{ size }}; the base model is not changed.
{% endif %}
<!-- /soft-prompts:summary -->

{% if metrics %}
<!-- soft-prompts:results -->
## Results

| metric | split | with the prompt |{% if has_untuned %} base without it |{% endif %}{% if has_majority %} commonest answer |{% endif %} rows | read from |
|---|---|---|{% if has_untuned %}---|{% endif %}{% if has_majority %}---|{% endif %}---:|---|
{% for metric in metrics %}
| {{ metric.name }} | {{ metric.split }} | {{ metric.value }} |{% if has_untuned %} {{ metric.untuned }} |{% endif %}{% if has_majority %} {{ metric.majority }} |{% endif %} {{ metric.n }} | {{ metric.by }} |
{% endfor %}
{% if has_intervals %}

95 % intervals in parentheses{% if has_majority %}; the commonest answer is that of the training rows{% endif %}.
{% endif %}
{% if best_step %}

The prompt is that of step {{ best_step }}.
{% endif %}
<!-- /soft-prompts:results -->

{% endif %}
<!-- soft-prompts:use -->
## How to use

In JavaScript, with [soft-prompts](https://www.npmjs.com/package/soft-prompts) and transformers.js:

\`\`\`js
import { loadPrompted } from 'soft-prompts/transformers'

const pipe = await loadPrompted({{ prompt_ref }}{{ base_option }})
{% if classifies %}
console.log(await pipe.classify({{ input }}))
{% else %}
console.log(await pipe({{ input }}))
{% endif %}
\`\`\`

{% if repo_ref and onnx %}
<details><summary>In a web page</summary>

In a module that Vite or another bundler builds; it takes prompt and base from the Hub:

\`\`\`js
import { loadPrompted } from 'soft-prompts/transformers'

const pipe = await loadPrompted({{ prompt_ref }}, { device: 'wasm' }) // or 'webgpu'
{% if classifies %}
document.body.append(JSON.stringify(await pipe.classify({{ input }})))
{% else %}
document.body.append(JSON.stringify(await pipe({{ input }})))
{% endif %}
\`\`\`

</details>

{% endif %}
{% if repo_ref and named %}
<details><summary>With onnxruntime alone</summary>

On the base model's stock encoder file; any runtime that runs it will do:

\`\`\`js
import * as ort from 'onnxruntime-node'
import { openPrompt, pullRepository } from 'soft-prompts/node'
import { openPromptedSession } from 'soft-prompts/onnxruntime'

const encoder = await openPromptedSession(ort, 'onnx/encoder_model.onnx')
const { dir } = await pullRepository({ repo: {{ repo_ref }} })
encoder.bank.add({{ prompt_name }}, await openPrompt(dir))
const ids = BigInt64Array.of(100n, 200n, 1n) // of the base's tokenizer
const mask = new BigInt64Array(ids.length).fill(1n)
const feeds = encoder.join(
  { input_ids: new ort.Tensor('int64', ids, [1, ids.length]), attention_mask: new ort.Tensor('int64', mask, [1, ids.length]) },
  {{ prompt_name }},
)
const { last_hidden_state } = await encoder.run(feeds)
console.log(last_hidden_state.dims)
\`\`\`

</details>

{% endif %}
{% if named %}
<details><summary>In Python, with transformers alone</summary>

\`\`\`python
import torch
{% if repo_ref %}
from huggingface_hub import hf_hub_download
{% endif %}
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained({{ base_ref }}), AutoModelForSeq2SeqLM.from_pretrained({{ base_ref }})
prompt = load_file({% if repo_ref %}hf_hub_download({{ repo_ref }}, "adapter_model.safetensors"){% else %}{{ adapter_ref }}{% endif %})["prompt_embeddings"][:{{ length }}]
embedded = model.get_input_embeddings()(tokenizer({{ python_input }}, return_tensors="pt").input_ids)
answer = model.generate(inputs_embeds=torch.cat([prompt[None].to(model.dtype), embedded], dim=1), max_new_tokens={{ max_tokens }})
print(tokenizer.decode(answer[0], skip_special_tokens=True))
\`\`\`

</details>

<details><summary>In Python, with PEFT</summary>

Run with PEFT 0.21.0 and transformers 5.18.0. This transformers has renamed a hook which this PEFT reads: with these versions the lines that the Hub shows under "Use this model" end with an AttributeError, and these do not:

\`\`\`python
from peft import PeftModel
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

base_model = AutoModelForSeq2SeqLM.from_pretrained({{ base_ref }})
kind = type(base_model)
if not hasattr(kind, "_prepare_encoder_decoder_kwargs_for_generation"):
    kind._prepare_encoder_decoder_kwargs_for_generation = kind._prepare_text_encoder_decoder_kwargs_for_generation
model = PeftModel.from_pretrained(base_model, {{ prompt_ref }})
tokenizer = AutoTokenizer.from_pretrained({{ base_ref }})
answer = model.generate(**tokenizer({{ python_input }}, return_tensors="pt"), max_new_tokens={{ max_tokens }})
print(tokenizer.decode(answer[0], skip_special_tokens=True))
\`\`\`

</details>
{% if base_is_folder %}

The base {{ base }} was a folder, not a repository of the Hub: these lines, and those that the Hub shows, find it only where such a folder is.
{% endif %}
{% else %}
The adapter does not name its base model: give it as \`base\`.
{% endif %}
<!-- /soft-prompts:use -->

<!-- soft-prompts:io -->
## Input and output

{% if template %}
The input is written as {{ template }}, where names in braces are fields of a row.
{% else %}
The input is given to the model as it is.
{% endif %}
{% if classifies %}

The prompt answers with one of: {{ labels }}.
{% endif %}
<!-- /soft-prompts:io -->

{% if recipe or data_rows %}
<!-- soft-prompts:training -->
## Training

{% if data_rows %}
{{ data_rows }} rows{% if data_name %} of {{ data_name }}{% endif %} (sha256 {{ data_sha256 }}).
{% endif %}
{% if recipe %}

| | |
|---|---|
{% for row in recipe %}
| {{ row.label }} | {{ row.value }} |
{% endfor %}
{% endif %}
{% if curve %}

![Training loss by step](loss.svg)
{% endif %}
<!-- /soft-prompts:training -->

{% endif %}
{% if command %}
<!-- soft-prompts:reproduce -->
## Train it again

\`\`\`sh
{{ command }}
\`\`\`

{% if own_names %}In place of {{ own_names }}, which lie with its author, put the paths of your own copies. {% endif %}{% if together %}This prompt was trained in one batch with others; alone it comes out near it, not bit by bit.{% else %}The same engine, version and rows give the same prompt, bit by bit; another engine gives one that is near.{% endif %}

<!-- /soft-prompts:reproduce -->

{% endif %}
{% if nearest %}
<!-- soft-prompts:nearest -->
## Nearest words

The pieces of the vocabulary that lie nearest to {% if nearest_of > nearest|length %}the first {{ nearest|length }} of {{ nearest_of }} virtual tokens{% else %}each virtual token{% endif %}, by cosine. They hint at what was learnt and do not say it.

| token | nearest |
|---:|---|
{% for row in nearest %}
| {{ row.token }} | {{ row.pieces }} |
{% endfor %}
<!-- /soft-prompts:nearest -->

{% endif %}
{% if failures %}
<!-- soft-prompts:failures -->
## Where it fails

| input | expected | answered |
|---|---|---|
{% for row in failures %}
| {{ row.input }} | {{ row.expected }} | {{ row.answered }} |
{% endfor %}
<!-- /soft-prompts:failures -->

{% endif %}
{% if checks %}
<!-- soft-prompts:checks -->
## Checked on

| encoder of the base | is | drift |{% if checked_texts %} output drift |{% endif %}

|---|---|---:|{% if checked_texts %}---:|{% endif %}

{% for check in checks %}
| {{ check.file }} | {{ check.answer }} | {{ check.drift }} |{% if checked_texts %} {{ check.output }} |{% endif %}

{% endfor %}

Drift: relative RMS difference of the values in the fingerprint from those it was trained on{% if checked_texts %}; and of the encoder's output behind the prompt from the float file's, on {{ checked_texts }} texts{% endif %}.
<!-- /soft-prompts:checks -->

{% endif %}
<!-- soft-prompts:limits -->
## Limits

- It works with {{ base }}{% if base_revision %} (trained on revision {{ base_revision }}){% endif %} only: a prompt is made of that model's own embedding space{% if fingerprint %} ({{ fingerprint }}){% else %}, of width {{ width }}{% endif %}.
{% if fingerprint %}
- \`soft-prompts verify --model\` tells whether a model is that one.
{% endif %}
- It inherits the base model's knowledge, languages and biases.
{% if metrics %}
- The figures above hold for rows like those it was measured on; nothing is known of others.
{% else %}
- No evaluation is recorded: measure it on your own data before you rely on it.
{% endif %}
<!-- /soft-prompts:limits -->

<!-- soft-prompts:citation -->
## Citation

The method is prompt tuning:

\`\`\`bibtex
@inproceedings{lester-etal-2021-power,
  title = {The Power of Scale for Parameter-Efficient Prompt Tuning},
  author = {Lester, Brian and Al-Rfou, Rami and Constant, Noah},
  booktitle = {Proceedings of EMNLP},
  year = {2021},
  url = {https://arxiv.org/abs/2104.08691}
}
\`\`\`
{% if created_by %}

Made with {{ created_by }}.
{% endif %}
<!-- /soft-prompts:citation -->
`
