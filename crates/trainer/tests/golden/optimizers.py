"""Writes optimizers.safetensors, which tests/optimizers.rs holds the optimisers to: python optimizers.py

PyTorch's own trajectories over 100 steps, in float64 and float32. Lion, which PyTorch has not, is the paper's algorithm 2 in
numpy; Muon is torch.optim.Muon with its cast to bfloat16 taken out.
"""

import inspect
import json

import numpy as np
import torch
import torch.optim._muon as torch_muon
from safetensors.numpy import save_file

STEPS = 100
KEPT = [1, 2, 3] + list(range(10, STEPS + 1, 10))
SHAPES = {"bias": (5,), "weight": (4, 3, 2)}
CASES = [
    ("Sgd", dict(lr=0.1, weight_decay=0.03)),
    ("Sgd", dict(lr=0.05, momentum=0.8, dampening=0.3, weight_decay=0.02)),
    ("Sgd", dict(lr=0.05, momentum=0.9, nesterov=True)),
    ("Adam", dict(lr=0.01)),
    ("Adam", dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    ("Adam", dict(lr=0.02, betas=(0.8, 0.9), weight_decay=0.1, amsgrad=True)),
    ("AdamW", dict(lr=0.01)),
    ("AdamW", dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    ("AdamW", dict(lr=0.02, betas=(0.8, 0.9), amsgrad=True)),
    ("RmsProp", dict(lr=0.01)),
    ("RmsProp", dict(lr=0.01, alpha=0.9, eps=1e-4, weight_decay=0.05)),
    ("RmsProp", dict(lr=0.01, momentum=0.7)),
    ("RmsProp", dict(lr=0.01, alpha=0.8, eps=1e-3, centered=True)),
    ("RmsProp", dict(lr=0.01, alpha=0.9, eps=1e-3, centered=True, momentum=0.6, weight_decay=0.02)),
    ("Adagrad", dict(lr=0.1)),
    ("Adagrad", dict(lr=0.1, lr_decay=0.03, weight_decay=0.05, initial_accumulator_value=0.2, eps=1e-4)),
    ("Adadelta", dict()),
    ("Adadelta", dict(lr=0.5, rho=0.8, eps=1e-3, weight_decay=0.04)),
    ("Lion", dict(lr=0.01)),
    ("Lion", dict(lr=0.02, betas=(0.8, 0.95), weight_decay=0.1)),
    ("Muon", dict(lr=0.02)),
    ("Muon", dict(lr=0.05, momentum=0.8, weight_decay=0.3, nesterov=False, ns_steps=3)),
]
TORCH = {"Sgd": "SGD", "RmsProp": "RMSprop"}


def lion(theta, grads, lr, betas=(0.9, 0.99), weight_decay=0.0):
    dtype = theta.dtype.type
    beta1, beta2 = betas
    m = np.zeros_like(theta)
    for g in grads:
        c = dtype(beta1) * m + dtype(1 - beta1) * g
        theta = theta - dtype(lr) * (np.sign(c) + dtype(weight_decay) * theta)
        m = dtype(beta2) * m + dtype(1 - beta2) * g
        yield theta


def by_torch(name, theta, grads, **kwargs):
    # torch.optim.Muon takes matrices alone.
    flat = (lambda x: x.reshape(x.shape[0], -1)) if name == "Muon" else (lambda x: x)
    param = torch.nn.Parameter(torch.from_numpy(flat(theta).copy()))
    optimizer = getattr(torch.optim, TORCH.get(name, name))([param], **kwargs)
    for g in grads:
        param.grad = torch.from_numpy(flat(g).copy())
        optimizer.step()
        yield param.detach().numpy().copy().reshape(theta.shape)


source = inspect.getsource(torch_muon._zeropower_via_newtonschulz)
assert "torch.bfloat16" in source
exec(source.replace("torch.bfloat16", "grad.dtype"), torch_muon.__dict__)

rng = np.random.default_rng(31)
tensors = {}
for name, shape in SHAPES.items():
    # Numbers of float32, so that both precisions start from the same, and an element that never has a gradient.
    tensors[f"start.{name}"] = rng.standard_normal(shape).astype(np.float32)
    grads = rng.standard_normal((STEPS, *shape)).astype(np.float32)
    grads.reshape(STEPS, -1)[:, 1] = 0
    tensors[f"grads.{name}"] = grads
for number, (optimizer, kwargs) in enumerate(CASES):
    for name in SHAPES:
        for dtype in (np.float64, np.float32):
            if optimizer == "Muon" and name == "bias":
                continue
            start, grads = tensors[f"start.{name}"].astype(dtype), tensors[f"grads.{name}"].astype(dtype)
            run = lion(start, grads, **kwargs) if optimizer == "Lion" else by_torch(optimizer, start, grads, **kwargs)
            steps = list(run)
            assert all(step.dtype == dtype for step in steps)
            key = {np.float64: "f64", np.float32: "f32"}[dtype]
            tensors[f"{number}.{key}.{name}"] = np.stack([steps[i - 1] for i in KEPT])

metadata = {
    "reference": "PyTorch " + torch.__version__.split("+")[0],
    "kept": KEPT,
    "cases": [{"optimizer": name, "kwargs": kwargs} for name, kwargs in CASES],
}
save_file(tensors, "optimizers.safetensors", {"taper": json.dumps(metadata)})
