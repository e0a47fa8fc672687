/**
 * The card of one prompt: Markdown with Jinja. A module rather than a .md file, so that it loads in a browser too. Each section stands between marks
 * and is left out where its facts are missing; values arrive escaped for their place (src/card/card.ts names them and their sources).
 */
export const promptCard: string = `
<!-- soft-prompts:summary -->
# {{ title }}

A soft prompt of {{ length }} virtual tokens for the frozen {{ base }}{% if task %}: {{ task }}{% endif %}.
{% if result %}
**{{ result }}.**
{% endif %}
{% if size %}
{{ parameters }} parameters, {{ size }}; the base model is not changed.
{% endif %}
<!-- /soft-prompts:summary -->

<!-- soft-prompts:use -->
## How to use

In JavaScript, with [soft-prompts](https://www.npmjs.com/package/soft-prompts) and transformers.js:

\`\`\`js
import { loadPrompted } from 'soft-prompts/transformers'

const pipe = await loadPrompted({{ prompt_ref }}{% if not named %}, { base: './t5' }{% endif %})
{% if classifies %}
console.log(await pipe.classify({{ input }}))
{% else %}
console.log(await pipe({{ input }}))
{% endif %}
\`\`\`

{% if named %}
In Python, with transformers; the adapter is PEFT's format, and nothing but its tensor is needed:

\`\`\`python
import torch
{% if repo_ref %}
from huggingface_hub import hf_hub_download
{% endif %}
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({{ base_ref }})
model = AutoModelForSeq2SeqLM.from_pretrained({{ base_ref }})
prompt = load_file({% if repo_ref %}hf_hub_download({{ repo_ref }}, "adapter_model.safetensors"){% else %}"adapter_model.safetensors"{% endif %})["prompt_embeddings"][:{{ length }}]
ids = tokenizer({{ python_input }}, return_tensors="pt").input_ids
embedded = torch.cat([prompt[None].to(model.dtype), model.get_input_embeddings()(ids)], dim=1)
answer = model.generate(inputs_embeds=embedded, attention_mask=torch.ones(embedded.shape[:2]), max_new_tokens={{ max_tokens }})
print(tokenizer.decode(answer[0], skip_special_tokens=True))
\`\`\`
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

{% if metrics %}
<!-- soft-prompts:results -->
## Results

| metric | split | value | 95 % interval | rows | read from |
|---|---|---:|---|---:|---|
{% for metric in metrics %}
| {{ metric.name }} | {{ metric.split }} | {{ metric.value }} | {{ metric.interval }} | {{ metric.n }} | {{ metric.by }} |
{% endfor %}
{% if best_step %}

The prompt is that of step {{ best_step }}.
{% endif %}
<!-- /soft-prompts:results -->

{% endif %}
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
<!-- soft-prompts:limits -->
## Limits

- It works with {{ base }}{% if base_revision %} (trained on revision {{ base_revision }}){% endif %} only: a prompt is made of that model's own embedding space{% if fingerprint %} ({{ fingerprint }}){% endif %}, of width {{ width }}.
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
