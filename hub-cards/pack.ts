/** The card of a pack of prompts: one table, one snippet. As in prompt.ts, values arrive escaped and a section without facts is left out. */
export const packCard: string = `
<!-- soft-prompts:summary -->
# {{ title }}

{{ count }} soft prompt{% if count != 1 %}s{% endif %} for the frozen {{ bases }}: one model in memory answers for all of them, and each row of a batch may use another.
<!-- /soft-prompts:summary -->

<!-- soft-prompts:prompts -->
## Prompts

| prompt | what it does | tokens | result | answers |
|---|---|---:|---|---|
{% for row in rows %}
| {{ row.name }} | {{ row.task }} | {{ row.length }} | {{ row.result }}{% if row.bare %}; without the prompt {{ row.bare }}{% endif %} | {{ row.labels }} |
{% endfor %}
{% if more > 0 %}

and {{ more }} more.
{% endif %}
<!-- /soft-prompts:prompts -->

<!-- soft-prompts:use -->
## How to use

\`\`\`js
import { loadPrompted } from 'soft-prompts/transformers'

const pipe = await loadPrompted({
{{ load }}
}{{ base_option }})
{% if classifies %}
console.log(await pipe.classify({{ input }}, { soft_prompt: {{ chosen }} }))
{% else %}
console.log(await pipe({{ input }}, { soft_prompt: {{ chosen }} }))
{% endif %}
\`\`\`
<!-- /soft-prompts:use -->

<!-- soft-prompts:limits -->
## Limits

- Each prompt works with its own base model only.
- The figures hold for rows like those they were measured on; prompts without one were not measured.
<!-- /soft-prompts:limits -->
`
