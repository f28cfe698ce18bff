"""Prints optim.json, the trajectories that tests/optim.rs holds the optimisers' steps to: python optim.py > optim.json"""

import json
import torch

STEPS = 12
SHAPE = [2, 3]
CASES = [
    ("sgd", dict(lr=0.1)),
    ("sgd", dict(lr=0.1, weight_decay=0.03)),
    ("sgd", dict(lr=0.05, momentum=0.9)),
    ("sgd", dict(lr=0.05, momentum=0.8, dampening=0.3, weight_decay=0.02)),
    ("sgd", dict(lr=0.05, momentum=0.7, nesterov=True, weight_decay=0.02)),
    ("adamw", dict(lr=0.01)),
    ("adamw", dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
]

torch.manual_seed(20)
rows = []
for name, kwargs in CASES:
    param = torch.nn.Parameter(torch.randn(SHAPE, dtype=torch.float64))
    row = {"optimizer": name, "kwargs": kwargs, "start": param.tolist(), "grads": [], "params": []}
    optimizer = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[name]([param], **kwargs)
    for _ in range(STEPS):
        param.grad = torch.randn(SHAPE, dtype=torch.float64)
        optimizer.step()
        row["grads"].append(param.grad.tolist())
        row["params"].append(param.tolist())
    rows.append(row)
print(json.dumps({"reference": "PyTorch " + torch.__version__.split("+")[0], "rows": rows}, indent=None))
