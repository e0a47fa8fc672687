"""Trains a prompt with PEFT on JSON lines {"input", "target"} and reports dev accuracy by label log-probability, one JSON line an evaluation (see README.md)."""
import argparse
import json
import random
import time

import numpy as np
import torch
from transformers import AutoTokenizer

from _common import adafactor, init_prompt, load, wilson, with_prompt

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True)
parser.add_argument("--train", required=True)
parser.add_argument("--dev", required=True)
parser.add_argument("--out", help="folder for the PEFT adapter of the last step")
parser.add_argument("--prompt", type=int, default=20)
parser.add_argument("--steps", type=int, default=500)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--lr", type=float, default=0.3)
parser.add_argument("--init", default="labels", choices=["labels", "vocab", "random"])
parser.add_argument("--initial", help="begin from this file of [P, D] F32 values instead")
parser.add_argument("--order", help="JSON: the row numbers of each step's batch, instead of an order of its own")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--step-offset", type=int, default=0)
parser.add_argument("--shuffle-targets", action="store_true", help="the control: the same rows with their answers shuffled")
parser.add_argument("--eval-every", type=int, default=100)
parser.add_argument("--max-input", type=int, default=96)
parser.add_argument("--template", default="{input}")
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
random.seed(args.seed)


def read_rows(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


train, dev = read_rows(args.train), read_rows(args.dev)
labels = sorted({row["target"] for row in train})
if args.shuffle_targets:
    targets = random.sample([row["target"] for row in train], len(train))
    train = [dict(row, target=target) for row, target in zip(train, targets)]
tokenizer, base = AutoTokenizer.from_pretrained(args.model), load(args.model)
model = with_prompt(base, args.prompt)
if args.initial:
    prompt = model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        prompt.copy_(torch.from_numpy(np.fromfile(args.initial, np.float32).reshape(prompt.shape)))
else:
    init_prompt(model, tokenizer, args.init, labels, args.seed)
optimizer = adafactor(model, args.lr, args.step_offset)


def encode(batch, targets):
    texts = [args.template.format(**row) for row in batch]
    x = tokenizer(texts, padding=True, truncation=True, max_length=args.max_input, return_tensors="pt")
    y = tokenizer(targets, padding=True, return_tensors="pt").input_ids
    y[y == tokenizer.pad_token_id] = -100
    return dict(input_ids=x.input_ids, attention_mask=x.attention_mask, labels=y)


@torch.no_grad()
def label_scores(batch, label):
    encoded = encode(batch, [label] * len(batch))
    targets = encoded["labels"]
    chosen = model(**encoded).logits.log_softmax(-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (chosen * (targets != -100)).sum(-1)


def evaluate():
    model.eval()
    right = 0
    for start in range(0, len(dev), 64):
        batch = dev[start : start + 64]
        best = torch.stack([label_scores(batch, label) for label in labels]).argmax(0)
        right += sum(labels[index] == row["target"] for index, row in zip(best.tolist(), batch))
    model.train()
    return {"dev_accuracy": right / len(dev), "n": len(dev), "interval": wilson(right, len(dev))}


print(json.dumps({"step": 0, **evaluate(), "labels": labels}), flush=True)
given = json.load(open(args.order, encoding="utf-8")) if args.order else None
order, losses, start = [], [], time.time()
for step in range(1, args.steps + 1):
    if len(order) < args.batch:
        order = random.sample(range(len(train)), len(train))
    chosen = given[step - 1] if given else [order.pop() for _ in range(args.batch)]
    batch = [train[row] for row in chosen]
    loss = model(**encode(batch, [row["target"] for row in batch])).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
    if step % args.eval_every == 0 or step == args.steps:
        recent = losses[-args.eval_every :]
        print(json.dumps({"step": step, "loss": sum(recent) / len(recent), "first_losses": losses[:20], **evaluate(), "seconds": round(time.time() - start, 2)}), flush=True)
if args.out:
    model.save_pretrained(args.out)
