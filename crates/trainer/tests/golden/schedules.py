"""Prints schedules.json, which tests/schedules.rs holds the schedules to: python schedules.py > schedules.json

PyTorch's own rates over 130 steps, of an optimiser whose learning rate is 0.3. `ReduceLROnPlateau` is asked once an epoch of
four steps; its metrics are in the file.
"""

import json
import random

import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

LR, STEPS, EPOCH = 0.3, 130, 4


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.5)


def rates(make):
    optim = optimizer()
    schedule = make(optim)
    group, rows = optim.param_groups[0], []
    for _ in range(STEPS):
        rows.append([group["lr"], group["momentum"]])
        optim.step()
        schedule.step()
    return [lr for lr, _ in rows], [momentum for _, momentum in rows]


def warm(optim):
    first = LinearLR(optim, start_factor=0.1, total_iters=15)
    return SequentialLR(optim, [first, CosineAnnealingLR(optim, T_max=115, eta_min=0.02)], milestones=[15])


def sequence(optim):
    first, second, third = ExponentialLR(optim, 0.97), StepLR(optim, 10, 0.5), PolynomialLR(optim, 60, 2.0)
    return SequentialLR(optim, [first, second, third], milestones=[40, 75])


cases = {
    "linear": lambda o: LinearLR(o, start_factor=0.2, end_factor=0.9, total_iters=100),
    "step": lambda o: StepLR(o, step_size=7, gamma=0.8),
    "multi_step": lambda o: MultiStepLR(o, milestones=[10, 11, 60, 60, 110], gamma=0.3),
    "exponential": lambda o: ExponentialLR(o, gamma=0.96),
    "polynomial": lambda o: PolynomialLR(o, total_iters=110, power=1.7),
    "cosine": lambda o: CosineAnnealingLR(o, T_max=130, eta_min=0.01),
    "warm_restarts": lambda o: CosineAnnealingWarmRestarts(o, T_0=9, T_mult=2, eta_min=0.005),
    "warm_restarts_equal": lambda o: CosineAnnealingWarmRestarts(o, T_0=13, eta_min=0.005),
    "one_cycle": lambda o: OneCycleLR(o, max_lr=0.7, total_steps=131, pct_start=0.35, div_factor=12, final_div_factor=50,
                                      base_momentum=0.7, max_momentum=0.9),
    "warmup": warm,
    "sequential": sequence,
}
golden = {"reference": "PyTorch " + torch.__version__.split("+")[0], "rates": {}, "plateau": []}
for name, make in cases.items():
    lr, momentum = rates(make)
    golden["rates"][name] = {"lr": lr, "momentum": momentum if name == "one_cycle" else None}

random.seed(9)
for mode, kwargs in [
    ("min", dict(factor=0.5, patience=2)),
    ("min", dict(factor=0.3, patience=0, threshold=0.05, cooldown=3, min_lr=0.001)),
    ("max", dict(factor=0.6, patience=1, threshold=0.01, cooldown=1)),
]:
    optim = optimizer()
    schedule = ReduceLROnPlateau(optim, mode=mode, eps=0, **kwargs)
    metrics, lr, value = [], [], 0.5
    for _ in range(STEPS // EPOCH + 1):
        lr += [optim.param_groups[0]["lr"]] * EPOCH
        value = min(max(value + random.uniform(-0.04, 0.04), 0.01), 1.0)
        metrics.append(value)
        optim.step()
        schedule.step(value)
    golden["plateau"].append({"mode": mode, "kwargs": kwargs, "metrics": metrics, "lr": lr})
print(json.dumps(golden))
