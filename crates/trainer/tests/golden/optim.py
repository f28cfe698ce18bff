"""Prints optim.json, which tests/optim.rs holds schedules, clipping and optimisers to: python optim.py > optim.json"""

import json
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

TOTAL = 20
SHAPES = {"bias": [3], "weight": [2, 3]}


def run(optimizer, schedule, kwargs, schedule_kwargs, max_norm):
    params = {name: torch.nn.Parameter(torch.randn(shape, dtype=torch.float64)) for name, shape in SHAPES.items()}
    row = {
        "optimizer": optimizer, "kwargs": kwargs, "schedule": schedule, "schedule_kwargs": schedule_kwargs,
        "max_norm": max_norm, "start": {n: p.tolist() for n, p in params.items()}, "steps": [],
    }
    optim = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimizer](params.values(), **kwargs)
    sched = {"cosine": CosineAnnealingLR, "one_cycle": OneCycleLR}[schedule](optim, **schedule_kwargs)
    for _ in range(TOTAL):
        for param in params.values():
            param.grad = torch.randn(param.shape, dtype=torch.float64)
        grads = {n: p.grad.tolist() for n, p in params.items()}
        group = optim.param_groups[0]
        momentum = group["betas"][0] if "betas" in group else group["momentum"]
        step = {"lr": group["lr"], "momentum": momentum, "grads": grads}
        torch.nn.utils.clip_grad_norm_(params.values(), max_norm)
        optim.step()
        sched.step()
        step["params"] = {n: p.tolist() for n, p in params.items()}
        row["steps"].append(step)
    return row


torch.manual_seed(21)
rows = [
    run("sgd", "cosine", dict(lr=0.3, momentum=0.8), dict(T_max=TOTAL, eta_min=0.01), 2.0),
    run("sgd", "one_cycle", dict(lr=0.1, momentum=0.5, nesterov=True),
        dict(max_lr=0.2, total_steps=TOTAL, pct_start=0.4, div_factor=10.0, final_div_factor=100.0), 1.0),
    run("adamw", "one_cycle", dict(lr=0.1), dict(max_lr=0.05, total_steps=TOTAL, cycle_momentum=False), 3.0),
    run("adamw", "one_cycle", dict(lr=0.1, weight_decay=0.2),
        dict(max_lr=0.05, total_steps=TOTAL, base_momentum=0.7, max_momentum=0.9), 1.5),
]
print(json.dumps({"reference": "PyTorch " + torch.__version__.split("+")[0], "rows": rows}))
