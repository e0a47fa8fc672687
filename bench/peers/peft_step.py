"""Times PEFT prompt-tuning steps on request (see README.md)."""
import argparse
import json
import resource
import sys
import time

import torch

from _common import adafactor, load, random_batch, with_prompt

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="small", help="small, base, or a folder")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--input", type=int, default=64)
parser.add_argument("--target", type=int, default=8)
parser.add_argument("--prompt", type=int, default=100)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--device", default="cpu")
parser.add_argument("--dtype", default="float32")
parser.add_argument("--write-weights", help="save the model's weights and config here, then go on")
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
base = load(args.model, args.dropout)
if args.write_weights:
    base.save_pretrained(args.write_weights)
model = with_prompt(base, args.prompt).to(args.device, getattr(torch, args.dtype)).train()
optimizer = adafactor(model)
ids, mask, labels = [x.to(args.device) for x in random_batch(args.batch, args.input, args.target, base.config.vocab_size)]


def step(ids=ids, mask=mask, labels=labels):
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()  # synchronises the device


def batch_of(lengths):
    """Random ids of these lengths, padded to the longest as DataCollatorForSeq2Seq pads."""
    longest = max(lengths)
    mask = (torch.arange(longest)[None] < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(2, base.config.vocab_size, mask.shape) * mask
    targets = torch.randint(2, base.config.vocab_size, (len(lengths), args.target))
    return [x.to(args.device) for x in (ids, mask, targets)]


step()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    ms = []
    request = json.loads(line)
    # a number of steps, or the input lengths of one batch's rows
    steps = [()] * request if isinstance(request, int) else [batch_of(request)]
    for given in steps:
        start = time.perf_counter()
        loss = step(*given)
        ms.append(1e3 * (time.perf_counter() - start))
    with open("/proc/self/statm", encoding="ascii") as statm:
        rss = int(statm.read().split()[1]) * 4096 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    gpu = {"gpu_mb": torch.cuda.max_memory_reserved() / 1e6} if args.device == "cuda" else {}
    print(json.dumps({"ms": ms, "rss_mb": rss, "peak_mb": peak, "loss": loss, **gpu}), flush=True)
