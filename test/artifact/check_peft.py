"""Loads adapters with PEFT, warnings captured, and compares their logits. Arguments: base folder, reference adapter, other adapters. Prints one JSON line."""
import json
import logging
import sys
import warnings

import torch
from peft import PeftModel
from transformers import T5ForConditionalGeneration

# PEFT 0.21 reads a hook that transformers 5 renamed; transformers 4 has the name.
if not hasattr(T5ForConditionalGeneration, "_prepare_encoder_decoder_kwargs_for_generation"):
    T5ForConditionalGeneration._prepare_encoder_decoder_kwargs_for_generation = (
        T5ForConditionalGeneration._prepare_text_encoder_decoder_kwargs_for_generation
    )


class Kept(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def logits_of(base_dir, adapter):
    base = T5ForConditionalGeneration.from_pretrained(base_dir).eval()
    kept = Kept()
    for name in ("peft", "transformers", None):
        logging.getLogger(name).addHandler(kept)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base, adapter).eval()
    for name in ("peft", "transformers", None):
        logging.getLogger(name).removeHandler(kept)
    ids = torch.tensor([[5, 9, 200, 1], [17, 30, 1, 0]])
    mask = (ids != 0).long()
    labels = torch.tensor([[8, 4, 1], [77, 1, -100]])
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, labels=labels).logits
    return logits, [str(w.message) for w in caught] + kept.lines


base_dir, reference, *others = sys.argv[1:]
expected, _ = logits_of(base_dir, reference)
result = []
for adapter in others:
    logits, said = logits_of(base_dir, adapter)
    result.append({"warnings": said, "difference": (logits - expected).abs().max().item(), "spread": expected.std().item()})
print(json.dumps(result))
