"""Label log-probabilities of a prompt folder as PEFT loads it: peft_scores.py MODEL PROMPT, then {"texts": [...], "labels": [...]} on standard input.
Prints [texts][labels], the sum over each label's tokens and </s>."""
import json, sys
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

# PEFT 0.21 reads a private hook that newer transformers renamed.
if not hasattr(T5ForConditionalGeneration, "_prepare_encoder_decoder_kwargs_for_generation"):
    T5ForConditionalGeneration._prepare_encoder_decoder_kwargs_for_generation = T5ForConditionalGeneration._prepare_text_encoder_decoder_kwargs_for_generation
from peft import PeftModel

base, prompt = sys.argv[1:3]
asked = json.load(sys.stdin)
torch.set_num_threads(1)
tok = AutoTokenizer.from_pretrained(base)
model = PeftModel.from_pretrained(T5ForConditionalGeneration.from_pretrained(base, dtype=torch.float32), prompt).eval()
scores = []
with torch.no_grad():
    for text in asked["texts"]:
        x = tok([text], return_tensors="pt")
        row = []
        for label in asked["labels"]:
            y = tok([label], return_tensors="pt").input_ids
            logp = model(**x, labels=y).logits.log_softmax(-1)
            row.append(logp.gather(-1, y.unsqueeze(-1)).sum().item())
        scores.append(row)
print(json.dumps(scores))
