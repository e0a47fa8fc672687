"""Shared by the peer scripts: T5 shapes, a model from a folder or a shape name, the PEFT wrapper, the paper's optimizer and initialisations."""
import math

import numpy as np
import torch
from transformers import T5Config, T5ForConditionalGeneration

# PEFT 0.21 reads a private hook that newer transformers renamed.
if not hasattr(T5ForConditionalGeneration, "_prepare_encoder_decoder_kwargs_for_generation"):
    T5ForConditionalGeneration._prepare_encoder_decoder_kwargs_for_generation = (
        T5ForConditionalGeneration._prepare_text_encoder_decoder_kwargs_for_generation
    )
from peft import PromptTuningConfig, TaskType, get_peft_model

SHAPES = {
    "small": dict(d_model=512, num_layers=6, num_decoder_layers=6, num_heads=8, d_kv=64, d_ff=2048, feed_forward_proj="relu"),
    "base": dict(d_model=768, num_layers=12, num_decoder_layers=12, num_heads=12, d_kv=64, d_ff=2048, feed_forward_proj="gated-gelu"),
}


def load(name, dropout=0.0, seed=0):
    """A model from a folder, or one with random weights by the name of its shape."""
    if name in SHAPES:
        torch.manual_seed(seed)
        config = T5Config(**SHAPES[name], vocab_size=32128, dropout_rate=dropout, decoder_start_token_id=0, pad_token_id=0)
        return T5ForConditionalGeneration(config)
    return T5ForConditionalGeneration.from_pretrained(name, dropout_rate=dropout, dtype=torch.float32)


def with_prompt(model, tokens, init="RANDOM"):
    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=tokens, prompt_tuning_init=init, num_transformer_submodules=1
    )
    return get_peft_model(model, config)


class PaperAdafactor(torch.optim.Optimizer):
    """Adafactor as the paper's code runs it: second moment not factored, no parameter scaling, no momentum, constant learning rate, weight decay not
    multiplied by the learning rate (T5X). Transformers' own Adafactor differs: it factors 2-D parameters and multiplies the decay by the rate."""

    def __init__(self, params, lr=0.3, decay=0.8, clip=1.0, weight_decay=1e-5, step_offset=0):
        super().__init__(params, dict(lr=lr, decay=decay, clip=clip, weight_decay=weight_decay, step_offset=step_offset))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"], state["v"] = group["step_offset"], torch.zeros_like(p)
                state["step"] += 1
                keep = 1.0 - state["step"] ** -group["decay"]
                state["v"].mul_(keep).add_((p.grad**2 + 1e-30) * (1 - keep))
                update = p.grad / state["v"].sqrt()
                update /= max(1.0, update.pow(2).mean().sqrt().item() / group["clip"])
                p.mul_(1 - group["weight_decay"]).sub_(group["lr"] * update)


def adafactor(model, lr=0.3, step_offset=0):
    return PaperAdafactor([p for p in model.parameters() if p.requires_grad], lr=lr, step_offset=step_offset)


@torch.no_grad()
def init_prompt(model, tokenizer, kind, labels, seed):
    """Writes the virtual tokens of a PEFT-wrapped model: `labels` (mean piece embedding of each label, the rest sampled), `vocab` (the 5,000 most
    common rows, without replacement) or `random` (uniform in [-0.5, 0.5])."""
    table = model.get_base_model().shared.weight
    prompt = model.prompt_encoder["default"].embedding.weight  # [P, D]
    rng = np.random.RandomState(seed)
    if kind == "random":
        prompt.copy_(torch.from_numpy(rng.uniform(-0.5, 0.5, prompt.shape)).to(prompt))
        return
    pool = min(5000, table.shape[0])
    prompt.copy_(table[torch.from_numpy(rng.choice(pool, prompt.shape[0], replace=prompt.shape[0] > pool))])
    if kind == "labels":
        for row, label in enumerate(labels[: prompt.shape[0]]):
            prompt[row] = table[tokenizer(label, add_special_tokens=False, return_tensors="pt").input_ids[0]].mean(0)


def random_batch(batch, length, target, vocab, seed=1):
    """Padded random ids: [B, T], [B, T], [B, U] with -100 in the padding."""
    rng = np.random.RandomState(seed)
    ids, mask, labels = rng.randint(2, vocab, (batch, length)), np.ones((batch, length)), rng.randint(2, vocab, (batch, target))
    for row in range(batch):
        short = rng.randint(0, max(1, length // 3))
        if short:
            mask[row, length - short :] = 0
            ids[row, length - short :] = 0
    return [torch.from_numpy(x.astype(np.int64)) for x in (ids, mask, labels)]


def wilson(right, n, z=1.959963984540054):
    """Wilson's 95 % interval of a proportion."""
    p, scale = right / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [max(0.0, (p + z * z / (2 * n) - half) / scale), min(1.0, (p + z * z / (2 * n) + half) / scale)]
