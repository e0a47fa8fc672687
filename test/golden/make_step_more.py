"""Golden values of the training step with dropout, and of the gradients of weights, by PyTorch in f64, for step_more.json.

Run: python test/golden/make_step_more.py   (after make_step.py, whose first cases it takes)
Masks are a formula of the place and the dense position, so that no mask is stored. Of a weight's gradient three products with fixed vectors and the norm are stored.
"""
import json, pathlib
import numpy as np
import torch
from transformers import MT5ForConditionalGeneration, T5ForConditionalGeneration, UMT5ForConditionalGeneration

here = pathlib.Path(__file__).parent
RATE = 0.25
FOLDERS = {
    "tiny-t5-v10": (T5ForConditionalGeneration, here.parent / "fixtures/onnx/tiny-t5-v10/hf"),
    "tiny-t5-v11": (T5ForConditionalGeneration, here.parent / "fixtures/onnx/tiny-t5-v11/hf"),
    "tied-gated": (T5ForConditionalGeneration, here / "variants/tied-gated"),
    "mt5": (MT5ForConditionalGeneration, here / "variants/mt5"),
    "umt5": (UMT5ForConditionalGeneration, here / "variants/umt5"),
}


def keep(place, count):
    """1 where an activation is kept: multiplicative hashing of its place and dense index."""
    hashed = (np.arange(count, dtype=np.uint64) * 2654435761 + place * 40503 * 65536) % 2**32
    return (hashed >> 20) % 4 != 0


place = 0


def masked(x, p=0.0, training=True, inplace=False):
    global place
    mask = torch.tensor(keep(place, x.numel())).reshape(x.shape).to(x.dtype)
    place += 1
    return x * mask / (1 - RATE)


def step(model, case):
    prompts = torch.tensor(case["prompts"], dtype=torch.float64, requires_grad=True)
    ids, mask, labels = (torch.tensor(case[k]) for k in ("input_ids", "attention_mask", "labels"))
    embedded = torch.cat([prompts[torch.tensor(case["prompt_index"])], model.get_input_embeddings()(ids)], 1)
    seen = torch.cat([torch.ones(len(ids), prompts.shape[1], dtype=torch.long), mask], 1)
    logits = model(inputs_embeds=embedded, attention_mask=seen, labels=labels).logits
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100, reduction="none").sum(1)
    (loss * torch.tensor(case["row_weight"], dtype=torch.float64)).sum().backward()
    return loss.detach(), prompts.grad


def digest(gradient):
    flat = gradient.flatten()
    index = torch.arange(flat.numel(), dtype=torch.float64)
    return [flat.norm().item()] + [(flat * torch.cos(index * wave + wave)).sum().item() for wave in (0.1, 0.7, 1.9)]


cases = json.loads((here / "step.json").read_text())["cases"]
out = {"rate": RATE, "dropout": [], "weights": []}
original = torch.nn.functional.dropout
for name, (kind, folder) in FOLDERS.items():
    model = kind.from_pretrained(folder, attn_implementation="eager").double().eval()
    for index, case in enumerate(cases):
        if case["model"] != name:
            continue
        model.zero_grad()
        step(model, case)
        gradients = {key: digest(p.grad) for key, p in model.named_parameters() if p.grad is not None}
        out["weights"].append({"case": index, "gradients": gradients})
        model.zero_grad()
        place = 0
        model.train()
        torch.nn.functional.dropout = masked
        loss, gradient = step(model, case)
        torch.nn.functional.dropout = original
        model.eval()
        out["dropout"].append({"case": index, "places": place, "row_loss": loss.tolist(), "gradient": gradient.flatten().tolist()})
        print(name, index, place, loss.tolist(), len(gradients))
(here / "step_more.json").write_text(json.dumps(out))
