"""PEFT answering, the side that attach-peers.ts is measured against.

peft_answer.py MODEL ADAPTER --text TEXT --tokens N      one answer from a cold process, as one line of JSON
peft_answer.py MODEL FOLDER --rows ROWS.json --tokens N   a worker: FOLDER holds p0, p1, …; for each line on standard input row i is answered by prompt i
peft_answer.py small FOLDER --write                       saves a t5-small-sized model of random weights
"""
import argparse
import json
import sys
import time

import torch
from _common import load
from peft import PeftModel
from transformers import AutoTokenizer, T5ForConditionalGeneration

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("folder")
parser.add_argument("--text")
parser.add_argument("--rows")
parser.add_argument("--tokens", type=int, default=8)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--write", action="store_true")
args = parser.parse_args()
torch.set_num_threads(args.threads)

if args.write:
    load(args.model).save_pretrained(args.folder)
    sys.exit()

base = T5ForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
if args.text is not None:
    model = PeftModel.from_pretrained(base, args.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    with torch.inference_mode():
        made = model.generate(**tokenizer(args.text, return_tensors="pt"), max_new_tokens=args.tokens)
    print(json.dumps({"text": tokenizer.decode(made[0], skip_special_tokens=True)}), flush=True)
    sys.exit()

with open(args.rows, encoding="utf8") as file:
    rows = [torch.tensor([row]) for row in json.load(file)]
model = PeftModel.from_pretrained(base, f"{args.folder}/p0", adapter_name="p0").eval()
for index in range(1, len(rows)):
    model.load_adapter(f"{args.folder}/p{index}", adapter_name=f"p{index}")
print(json.dumps({"ready": True}), flush=True)
for _ in sys.stdin:
    tokens = []
    start = time.perf_counter()
    with torch.inference_mode():
        for index, row in enumerate(rows):
            model.set_adapter(f"p{index}")
            made = model.generate(input_ids=row, attention_mask=torch.ones_like(row), max_new_tokens=args.tokens)
            tokens.append(made[0].tolist())
    print(json.dumps({"ms": 1e3 * (time.perf_counter() - start), "tokens": tokens}), flush=True)
