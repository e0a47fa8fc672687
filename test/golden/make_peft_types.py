"""The prompts that PEFT 0.21 itself puts in front of the input, for every adapter of fixtures/peft: peft_types.json, rows in base64 F32."""
import base64
import json
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from transformers import T5Config, T5ForConditionalGeneration

warnings.simplefilter("ignore")
# PEFT 0.21 reads a hook that transformers 5 renamed.
T5ForConditionalGeneration._prepare_encoder_decoder_kwargs_for_generation = (
    T5ForConditionalGeneration._prepare_text_encoder_decoder_kwargs_for_generation
)
here = Path(__file__).parent
peft = here.parent / "fixtures/peft"

found = {}
for name in ["prompt_tuning", "prompt_tuning_sub1", "p_tuning_mlp", "p_tuning_lstm", "multitask", "multitask_sub1"]:
    config = json.loads((peft / name / "adapter_config.json").read_text())
    base = T5ForConditionalGeneration(
        T5Config(vocab_size=128, d_model=16, d_kv=4, d_ff=32, num_layers=3, num_decoder_layers=2, num_heads=4, decoder_start_token_id=0)
    )
    model = PeftModel.from_pretrained(base, peft / name).eval()
    for task in range(config.get("num_tasks", 0)) or [None]:
        ids = None if task is None else torch.tensor([task])
        with torch.no_grad():
            rows = model.get_prompt(batch_size=1, task_ids=ids)[0][: config["num_virtual_tokens"]]
        key = name if task is None else f"{name} {task}"
        found[key] = base64.b64encode(rows.contiguous().numpy().tobytes()).decode()
(here / "peft_types.json").write_text(json.dumps(found, indent=1) + "\n")
print({key: len(value) for key, value in found.items()})
