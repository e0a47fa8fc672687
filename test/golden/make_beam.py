"""Golden values of beam search with ends: transformers' generate on the fixtures' texts, each model with a token it often writes as its end token.

Run: python test/golden/make_beam.py   (torch, transformers 5)
"""
import json, pathlib
import torch
from transformers import T5ForConditionalGeneration

here = pathlib.Path(__file__).parent
fixtures = here.parent / "fixtures" / "onnx"
reference = json.loads((fixtures / "ref.json").read_text())
cases = []
for name, eos in (("tiny-t5-v10", 256), ("tiny-t5-v10", 498), ("tiny-t5-v11", 389), ("tiny-t5-v11", 171)):
    model = T5ForConditionalGeneration.from_pretrained(fixtures / name / "hf").eval()
    inputs = {key: torch.tensor(reference[name][key]) for key in ("input_ids", "attention_mask")}
    for beams, penalty in ((4, 1.0), (2, -0.5), (4, 0.0), (3, 2.5)):
        made = model.generate(**inputs, num_beams=beams, length_penalty=penalty, eos_token_id=eos, max_new_tokens=10, do_sample=False)
        cases.append({"model": name, "eos": eos, "beams": beams, "length_penalty": penalty, "tokens": made.tolist()})
(here / "beam.json").write_text(json.dumps(cases) + "\n")
