"""Writes optimizers.json: a trainable's values after each step of Adafactor (the paper's), AdamW and SGD in PyTorch, on fixed gradients.
Run from the project's root: .peers/bin/python test/golden/make_optimizers.py"""
import json, pathlib
import numpy as np, torch


class PaperAdafactor(torch.optim.Optimizer):
    """T5X Adafactor as the paper's configuration runs it: not factored, no parameter scaling, no momentum, decay not multiplied by the rate."""

    def __init__(self, params, lr=0.3, decay=0.8, clip=1.0, weight_decay=1e-5, step_offset=0):
        super().__init__(params, dict(lr=lr, decay=decay, clip=clip, weight_decay=weight_decay, step_offset=step_offset))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["step"], state["v"] = group["step_offset"], torch.zeros_like(p)
                state["step"] += 1
                b = 1.0 - state["step"] ** -group["decay"]
                state["v"].mul_(b).add_((p.grad**2 + 1e-30) * (1 - b))
                update = p.grad / state["v"].sqrt()
                update /= max(1.0, update.pow(2).mean().sqrt().item() / group["clip"])
                p.mul_(1 - group["weight_decay"]).sub_(group["lr"] * update)


def main():
    rng = np.random.RandomState(3)
    SIZE, STEPS = 12, 6
    start = rng.uniform(-0.5, 0.5, SIZE).astype(np.float32)
    # Scales over ten decades, a zero column, and a gradient that vanishes on the way.
    gradients = (rng.randn(STEPS, SIZE) * 10.0 ** rng.randint(-8, 3, (STEPS, SIZE))).astype(np.float32)
    gradients[:, 0] = 0
    gradients[3] = 0

    CASES = {
        "adafactor": (lambda p: PaperAdafactor([p]), dict(name="adafactor", learningRate=0.3, weightDecay=1e-5, stepOffset=0)),
        "adafactor, offset": (lambda p: PaperAdafactor([p], step_offset=1_100_000), dict(name="adafactor", learningRate=0.3, weightDecay=1e-5, stepOffset=1_100_000)),
        "adamw": (lambda p: torch.optim.AdamW([p], lr=0.01, weight_decay=0.1), dict(name="adamw", learningRate=0.01, weightDecay=0.1, stepOffset=0)),
        "sgd": (lambda p: torch.optim.SGD([p], lr=0.01, momentum=0.9, weight_decay=0.1), dict(name="sgd", learningRate=0.01, weightDecay=0.1, stepOffset=0)),
    }
    out = {"start": start.tolist(), "gradients": gradients.tolist(), "cases": {}}
    for title, (make, options) in CASES.items():
        p = torch.nn.Parameter(torch.from_numpy(start.copy()))
        optimizer, values = make(p), []
        for g in gradients:
            p.grad = torch.from_numpy(g.copy())
            optimizer.step()
            values.append(p.detach().tolist())
        out["cases"][title] = {"options": options, "values": values}
    pathlib.Path(__file__).with_name("optimizers.json").write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
