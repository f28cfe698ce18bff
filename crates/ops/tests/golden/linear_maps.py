"""Reference vectors of what the other files leave out: resampling by a factor and bicubic, unfold and fold, pixel
shuffles, and convolution with its padding modes. Run beside this file: `python linear_maps.py` (PyTorch 2.15, NumPy,
safetensors); each file holds its cases in the form that `tests/support/` reads.
"""

import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

SEED = 20261124


class File:
    def __init__(self, op, reference):
        self.op, self.reference, self.cases, self.tensors = op, reference, [], {}

    def case(self, kwargs, inputs, call):
        """One case: the outputs and gradients of `call(**inputs)`, or the error with which it is refused."""
        name = f"{len(self.cases):04}"
        inputs = {key: value.clone().requires_grad_() for key, value in inputs.items()}
        case = {"id": name, "kwargs": kwargs, "inputs": list(inputs), "outputs": [], "grads": [], "error": None}
        found = {key: value.detach() for key, value in inputs.items()}
        try:
            output = call(**inputs)
        except (RuntimeError, ValueError) as error:
            case["error"] = str(error)
        else:
            case["outputs"] = ["output"]
            found["output"] = output.detach()
            found["cotangent"] = torch.randn_like(output)
            gradients = torch.autograd.grad(output, list(inputs.values()), found["cotangent"])
            case["grads"] = list(inputs)
            found |= {f"grad_{key}": gradient for key, gradient in zip(inputs, gradients)}
        self.cases.append(case)
        self.tensors |= {f"{name}.{key}": value.contiguous() for key, value in found.items()}

    def write(self):
        metadata = {"op": self.op, "reference": f"torch {torch.__version__}", "seed": str(SEED)}
        metadata |= {"cases": json.dumps(self.cases)}
        save_file(self.tensors, Path(__file__).with_name(f"{self.op}.safetensors"), metadata)


def extents(rng, low, high, count):
    return [rng.randint(low, high) for _ in range(count)]


def interpolate(rng):
    file = File("interpolate", "torch.nn.functional.interpolate")
    for i in range(36):
        axes = i % 3 + 1
        x = torch.randn(2, 2, *extents(rng, 2, 5, axes))
        linear = ["linear", "bilinear", "trilinear"][axes - 1]
        mode = rng.choice(["nearest", "nearest-exact", linear] + ["bicubic"] * (axes == 2))
        kwargs = {"mode": mode}
        if not mode.startswith("nearest"):
            kwargs["align_corners"] = rng.random() < 0.5
        factors = [0.5, 0.7, 1.0, 1.5, 2.0, 3.0]
        # Where they keep or double an extent, nearest over one and three axes has a gradient that is not its forward's.
        if axes == 2 or mode != "nearest":
            factors += [1.1, 2.1]
        kwargs["scale_factor"] = [rng.choice(factors) for _ in range(axes)]
        file.case(kwargs, {"input": x}, lambda input: F.interpolate(input, **kwargs))
    for _ in range(16):
        x = torch.randn(2, 2, *extents(rng, 1, 5, 2))
        kwargs = {"mode": "bicubic", "align_corners": rng.random() < 0.5, "size": extents(rng, 1, 8, 2)}
        file.case(kwargs, {"input": x}, lambda input: F.interpolate(input, **kwargs))
    x = torch.randn(1, 1, 3)
    for kwargs in [{"mode": "bicubic", "align_corners": False, "size": [5]}, {"mode": "nearest", "scale_factor": [0.2]}]:
        file.case(kwargs, {"input": x}, lambda input: F.interpolate(input, **kwargs))
    file.write()


def windows(rng):
    names = ["kernel_size", "dilation", "padding", "stride"]
    return dict(zip(names, [extents(rng, 1, 3, 2), extents(rng, 1, 2, 2), extents(rng, 0, 2, 2), extents(rng, 1, 3, 2)]))


def unfold_and_fold(rng):
    unfold, fold = File("unfold", "torch.nn.functional.unfold"), File("fold", "torch.nn.functional.fold")
    for _ in range(16):
        kwargs, size = windows(rng), extents(rng, 5, 7, 2)
        x = torch.randn(2, 3, *size)
        unfold.case(kwargs, {"input": x}, lambda input: F.unfold(input, **kwargs))
        columns = torch.randn_like(F.unfold(x, **kwargs))
        fold.case(kwargs | {"output_size": size}, {"input": columns}, lambda input: F.fold(input, size, **kwargs))
    valid = {"kernel_size": [2, 3], "dilation": [1, 1], "padding": [0, 0], "stride": [1, 1]}
    for change in [{"kernel_size": [2, 8]}, {"kernel_size": [0, 3]}, {"dilation": [0, 1]}, {"stride": [1, 0]}]:
        kwargs = valid | change
        unfold.case(kwargs, {"input": torch.randn(1, 2, 4, 5)}, lambda input: F.unfold(input, **kwargs))
        kwargs = kwargs | {"output_size": [4, 5]}
        fold.case(kwargs, {"input": torch.randn(1, 12, 9)}, lambda input: F.fold(input, **kwargs))
    for shape in [(1, 13, 9), (1, 12, 8)]:
        kwargs = valid | {"output_size": [4, 5]}
        fold.case(kwargs, {"input": torch.randn(*shape)}, lambda input: F.fold(input, **kwargs))
    unfold.write()
    fold.write()


def pixel_shuffle(rng):
    file = File("pixel_shuffle", "torch.nn.functional.pixel_shuffle, pixel_unshuffle")
    for factor in [1, 2, 3]:
        x = torch.randn(2, 2 * factor**2, 3, 4)
        file.case({"upscale_factor": factor}, {"input": x}, lambda input: F.pixel_shuffle(input, factor))
        x = torch.randn(2, 2, 2 * factor, 3 * factor)
        file.case({"downscale_factor": factor}, {"input": x}, lambda input: F.pixel_unshuffle(input, factor))
    file.case({"upscale_factor": 2}, {"input": torch.randn(1, 6, 3, 4)}, lambda input: F.pixel_shuffle(input, 2))
    file.case({"downscale_factor": 2}, {"input": torch.randn(1, 2, 4, 5)}, lambda input: F.pixel_unshuffle(input, 2))
    file.write()


def conv_padding_mode(rng):
    file = File("conv_padding_mode", "torch.nn.Conv1d, Conv2d, Conv3d")
    for i in range(24):
        axes, groups = i % 3 + 1, rng.randint(1, 2)
        same = rng.random() < 0.3
        kwargs = {
            "padding_mode": rng.choice(["reflect", "replicate", "circular"]),
            "padding": "same" if same else extents(rng, 0, 2, axes),
            "stride": [1] * axes if same else extents(rng, 1, 2, axes),
            "dilation": extents(rng, 1, 2, axes),
            "groups": groups,
        }
        kernel = extents(rng, 1, 3, axes)
        conv = [torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d][axes - 1](2 * groups, 3 * groups, kernel, **kwargs)
        inputs = {"input": torch.randn(2, 2 * groups, *extents(rng, 5, 6, axes))}
        inputs |= {"weight": torch.randn_like(conv.weight), "bias": torch.randn_like(conv.bias)}
        file.case(kwargs, inputs, lambda input, weight, bias: conv._conv_forward(input, weight, bias))
    kwargs = {"padding_mode": "reflect", "padding": [4], "stride": [1], "dilation": [1], "groups": 1}
    conv = torch.nn.Conv1d(2, 3, 3, **kwargs)
    inputs = {"input": torch.randn(1, 2, 4), "weight": conv.weight.detach(), "bias": conv.bias.detach()}
    file.case(kwargs, inputs, lambda input, weight, bias: conv._conv_forward(input, weight, bias))
    file.write()


torch.set_default_dtype(torch.float64)
for write in [interpolate, unfold_and_fold, pixel_shuffle, conv_padding_mode]:
    torch.manual_seed(SEED)
    write(random.Random(SEED))
