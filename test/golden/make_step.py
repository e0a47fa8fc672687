"""Golden values of the training step: row losses and prompt gradients of PyTorch in f64, for step.json.

Run: python test/golden/make_step.py   (torch, transformers 5; weights from test/fixtures/onnx, and of the variants below, made here)
Three seeds a model: with ReLU any two f32 implementations can differ at a kink, so tests take the median.
"""
import json, pathlib
import torch
from transformers import MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration, UMT5Config, UMT5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

here = pathlib.Path(__file__).parent
B, T, U, K, P = 4, 7, 5, 2, 3


Z_LOSS = 1e-2


def step(model, case, dtype, z_loss=0.0):
    model = model.to(dtype)
    prompts = torch.tensor(case["prompts"], dtype=dtype, requires_grad=True)
    ids, mask, labels = (torch.tensor(case[k]) for k in ("input_ids", "attention_mask", "labels"))
    embedded = torch.cat([prompts[torch.tensor(case["prompt_index"])], model.get_input_embeddings()(ids)], 1)
    logits = model(inputs_embeds=embedded, attention_mask=torch.cat([torch.ones(B, P, dtype=torch.long), mask], 1), labels=labels).logits
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100, reduction="none").sum(1)
    counts = (labels != -100).to(dtype)
    loss = loss + z_loss * (torch.logsumexp(logits, -1) ** 2 * counts).sum(1)
    (loss * torch.tensor(case["row_weight"], dtype=dtype)).sum().backward()
    return loss.detach(), prompts.grad


def variant(name, config_class, model_class, **extra):
    """A model of another kind, with random weights, saved beside this file as transformers saves it."""
    torch.manual_seed(7)
    shape = dict(vocab_size=40, d_model=12, d_kv=5, d_ff=20, num_heads=3, num_layers=2, num_decoder_layers=1, decoder_start_token_id=0)
    model = model_class(config_class(**{**shape, **extra}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    folder = here / "variants" / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    return model


FIXTURES = here.parent / "fixtures" / "onnx"
models = {name: T5ForConditionalGeneration.from_pretrained(FIXTURES / name / "hf") for name in ("tiny-t5-v10", "tiny-t5-v11")}
# v1.1 blocks on tied, scaled embeddings; depths that differ; few buckets
models["tied-gated"] = variant("tied-gated", T5Config, T5ForConditionalGeneration, feed_forward_proj="gated-gelu",
                               relative_attention_num_buckets=8, relative_attention_max_distance=6, layer_norm_epsilon=1e-3)
models["silu"] = variant("silu", T5Config, T5ForConditionalGeneration, feed_forward_proj="gated-silu", num_layers=1, num_decoder_layers=3)
models["mt5"] = variant("mt5", MT5Config, MT5ForConditionalGeneration)
models["umt5"] = variant("umt5", UMT5Config, UMT5ForConditionalGeneration)

cases = []
for name, model in models.items():
    model = model.eval()
    V, D = model.config.vocab_size, model.config.d_model
    for seed in range(3):
        torch.manual_seed(seed)
        lengths, targets = [T, 3, 5, 1], [U, 2, 1, 4]
        ids, labels = torch.randint(2, V, (B, T)), torch.randint(2, V, (B, U))
        mask = (torch.arange(T)[None] < torch.tensor(lengths)[:, None]).long()
        case = {
            "model": name,
            "input_ids": (ids * mask).tolist(),
            "attention_mask": mask.tolist(),
            "labels": torch.where(torch.arange(U)[None] < torch.tensor(targets)[:, None], labels, -100).tolist(),
            "row_weight": [0.25, 1.0, 0.5, 2.0],
            "prompt_index": [0, 1, 1, 0],
            "prompts": torch.randn(K, P, D).tolist(),
        }
        loss, gradient = step(model, case, torch.float64)
        loss32, gradient32 = step(model, case, torch.float32)
        case["row_loss"], case["gradient"] = loss.tolist(), gradient.flatten().tolist()
        loss_z, gradient_z = step(model, case, torch.float64, Z_LOSS)
        case["z_row_loss"], case["z_gradient"] = loss_z.tolist(), gradient_z.flatten().tolist()
        case["torch_f32_error"] = ((gradient32 - gradient).norm() / gradient.norm()).item()
        cases.append(case)
        print(name, seed, loss.tolist(), case["torch_f32_error"])

buckets = {
    name: [T5Attention._relative_position_bucket(torch.arange(-300, 301), name == "encoder", 32, 128).tolist()][0]
    for name in ("encoder", "decoder")
}
(here / "step.json").write_text(json.dumps({"cases": cases, "buckets": buckets, "z_loss": Z_LOSS}))
