"""Writes instance_norm.safetensors, rms_norm.safetensors and local_response_norm.safetensors beside itself: python norms.py

float64, from seeded random geometry; the header holds op, reference, seed and cases, as in the other files here.
"""

import json
import pathlib
import random

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

SEED = 20261124


def instance_norm():
    for _ in range(16):
        positions = random.choice([[3], [7], [2, 3], [4, 1], [2, 1, 3]])
        channels = random.randint(1, 4)
        inputs = {"input": torch.randn([random.randint(1, 3), channels, *positions])}
        if random.random() < 0.7:
            inputs |= {"weight": torch.randn(channels), "bias": torch.randn(channels)}
        kwargs = {"use_input_stats": True, "momentum": random.choice([0.1, 0.3]), "eps": random.choice([1e-5, 1e-3])}
        if random.random() < 0.6:
            inputs |= {"running_mean": torch.randn(channels), "running_var": torch.rand(channels) + 0.5}
            kwargs["use_input_stats"] = random.random() < 0.6
        yield inputs, kwargs
    yield {"input": torch.randn(2, 3, 1)}, {"use_input_stats": True, "momentum": 0.1, "eps": 1e-5}


def rms_norm():
    for _ in range(16):
        normalized = random.choice([[4], [5], [2, 3], [3, 1, 4]])
        leading = random.choice([[], [3], [2, 4]])
        inputs = {"input": torch.randn([*leading, *normalized]) * random.choice([1e-6, 1.0, 30.0])}
        if random.random() < 0.7:
            inputs["weight"] = torch.randn(normalized)
        yield inputs, {"normalized_shape": normalized, "eps": random.choice([None, 1e-5, 1e-2])}
    yield {"input": torch.randn(2, 3)}, {"normalized_shape": [2], "eps": None}


def local_response_norm():
    for _ in range(20):
        positions = random.choice([[3], [2, 3], [2, 1, 3]])
        inputs = {"input": torch.randn([random.randint(1, 3), random.randint(1, 6), *positions])}
        alpha, beta, k = random.choice([1e-4, 0.5, 2.0]), random.choice([0.75, 0.5, 1.0]), random.choice([1.0, 2.0])
        yield inputs, {"size": random.randint(1, 7), "alpha": alpha, "beta": beta, "k": k}
    yield {"input": torch.randn(2, 3)}, {"size": 2, "alpha": 1e-4, "beta": 0.75, "k": 1.0}


def write(op, calls):
    torch.manual_seed(SEED)
    random.seed(SEED)
    cases, tensors = [], {}
    for number, (inputs, kwargs) in enumerate(calls()):
        case = {"id": f"{number:04}", "kwargs": kwargs, "inputs": list(inputs), "outputs": [], "grads": [], "error": None}
        tensors |= {f"{case['id']}.{name}": value.clone() for name, value in inputs.items()}
        tracked = {name: inputs[name].requires_grad_() for name in ("input", "weight", "bias") if name in inputs}
        try:
            outputs = {"output": getattr(F, op)(**inputs, **kwargs)}
            # The reference updates running statistics in place.
            if kwargs.get("use_input_stats") and "running_mean" in inputs:
                outputs |= {f"{name}_after": inputs[name] for name in ("running_mean", "running_var")}
        except (RuntimeError, ValueError) as error:
            case["error"] = str(error).splitlines()[0]
        else:
            cotangent = torch.randn_like(outputs["output"])
            grads = torch.autograd.grad(outputs["output"], list(tracked.values()), cotangent)
            case["outputs"], case["grads"] = list(outputs), list(tracked)
            outputs["cotangent"] = cotangent
            outputs |= {f"grad_{name}": grad for name, grad in zip(tracked, grads)}
            tensors |= {f"{case['id']}.{name}": value.detach().contiguous() for name, value in outputs.items()}
        cases.append(case)
    reference = "torch " + torch.__version__
    metadata = {"op": op, "reference": reference, "seed": str(SEED), "cases": json.dumps(cases)}
    save_file(tensors, pathlib.Path(__file__).with_name(f"{op}.safetensors"), metadata)


torch.set_default_dtype(torch.float64)
for calls in (instance_norm, rms_norm, local_response_norm):
    write(calls.__name__, calls)
