"""Writes peft_losses.json: the losses of 20 steps of PEFT prompt tuning (PyTorch, the paper's Adafactor) on the fixture tiny-t5-v11, and label log-probabilities
before the first step, from rows given as text. Our run with the same initial prompt and batches must give the same losses.
Run from the project's root: .peers/bin/python test/golden/make_peft_losses.py"""
import json, pathlib
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

# PEFT 0.21 reads a private hook that newer transformers renamed.
if not hasattr(T5ForConditionalGeneration, "_prepare_encoder_decoder_kwargs_for_generation"):
    T5ForConditionalGeneration._prepare_encoder_decoder_kwargs_for_generation = T5ForConditionalGeneration._prepare_text_encoder_decoder_kwargs_for_generation
from peft import PromptTuningConfig, TaskType, get_peft_model
from make_optimizers import PaperAdafactor

torch.manual_seed(0)
here = pathlib.Path(__file__).parent
fixture = here.parent / "fixtures" / "onnx" / "tiny-t5-v11"
# At the paper's 0.3 a model of random weights is chaotic: rounding grows to 5e-3 in 20 steps.
P, BATCH, STEPS, FIRST_ROW, LR = 20, 8, 20, 5, 0.03
ADJECTIVES = {"positive": ["funny", "moving", "fine", "warm", "sharp"], "negative": ["dull", "flat", "cold", "clumsy", "long and tired"]}
NOUNS = ["film", "story", "script", "first half of the picture", "cast", "ending , in spite of everything that was said about it ,"]
rows = [
    {"input": f"the {noun} is {adjective} ." if (i + j) % 2 else f"{adjective} , and the {noun} knows it", "target": label}
    for label, adjectives in ADJECTIVES.items() for i, adjective in enumerate(adjectives) for j, noun in enumerate(NOUNS)
]
order = [(7 * i + 3) % len(rows) for i in range(STEPS * BATCH)]

tok = AutoTokenizer.from_pretrained(fixture)
model = T5ForConditionalGeneration.from_pretrained(fixture / "hf", dropout_rate=0.0, dtype=torch.float32)
model = get_peft_model(model, PromptTuningConfig(task_type=TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=P, num_transformer_submodules=1))
prompt = model.prompt_encoder["default"].embedding.weight
with torch.no_grad():
    prompt.copy_(model.get_base_model().shared.weight[FIRST_ROW : FIRST_ROW + P])


def encode(batch, targets):
    x = tok([r["input"] for r in batch], padding=True, return_tensors="pt")
    y = tok(targets, padding=True, return_tensors="pt").input_ids
    y[y == tok.pad_token_id] = -100
    return dict(input_ids=x.input_ids, attention_mask=x.attention_mask, labels=y)


# Labels of one, two and more pieces, one of them the start of another.
LABELS = ["positive", "negative", "negative film", "a film that is not for everyone"]
scores = []
with torch.no_grad():
    for label in LABELS:
        e = encode(rows[:6], [label] * 6)
        logp = model(**e).logits.log_softmax(-1)
        scores.append(logp.gather(-1, e["labels"].unsqueeze(-1)).squeeze(-1).sum(-1).tolist())

optimizer, losses = PaperAdafactor([prompt], lr=LR), []
model.train()
for step in range(STEPS):
    batch = [rows[i] for i in order[step * BATCH : (step + 1) * BATCH]]
    loss = model(**encode(batch, [r["target"] for r in batch])).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
out = {"learningRate": LR, "length": P, "batch": BATCH, "firstRow": FIRST_ROW, "rows": rows, "order": order, "losses": losses, "promptRms": prompt.pow(2).mean().sqrt().item(),
       "labels": LABELS, "scores": [list(s) for s in zip(*scores)]}
(here / "peft_losses.json").write_text(json.dumps(out) + "\n")
print(losses)
