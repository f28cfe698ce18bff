"""Writes activations_more.safetensors: what activation.safetensors lacks, and the corners. Run here, with PyTorch 2.15."""

import torch
import torch.nn.functional as F
from reference import Vectors

vectors = Vectors("activations_more", 20261124)


def function(name, **kwargs):
    return lambda input: getattr(F, name)(input, **kwargs)


def corners(name, points, **kwargs):
    points = torch.tensor(points, dtype=torch.float64)
    vectors.case({"name": name, **kwargs}, function(name, **kwargs), ["input"], input=points)


for name, kwargs in [
    ("sigmoid", {}),
    ("tanh", {}),
    ("hardshrink", {"lambd": 0.5}),
    ("hardshrink", {"lambd": 0.0}),
    ("softshrink", {"lambd": 0.7}),
    ("softshrink", {"lambd": 0.0}),
    ("threshold", {"threshold": 0.3, "value": -2.0}),
    ("softplus", {"beta": -0.5, "threshold": 1.0}),
    ("hardtanh", {"min_val": 0.25, "max_val": 0.25}),
    ("leaky_relu", {"negative_slope": -0.3}),
    ("celu", {"alpha": -0.5}),
    ("elu", {"alpha": -0.7}),
    ("glu", {"dim": 0}),
    ("glu", {"dim": 1}),
    ("glu", {"dim": -1}),
    ("softmax", {"dim": 0}),
    ("softmax", {"dim": 1}),
    ("softmax", {"dim": -1}),
    ("log_softmax", {"dim": 0}),
    ("log_softmax", {"dim": 1}),
    ("log_softmax", {"dim": -1}),
]:
    vectors.case({"name": name, **kwargs}, function(name, **kwargs), ["input"], input=3 * vectors.normal(2, 6, 4))
    vectors.case({"name": name, **kwargs}, function(name, **kwargs), ["input"], input=vectors.normal(4, 6))

for shape, count in [((5,), 1), ((4, 3), 3), ((4, 3), 1), ((2, 3, 5), 3), ((2, 3, 4, 5), 3), ((2, 3, 4, 5), 1)]:
    prelu = lambda input, weight: F.prelu(input, weight)
    inputs = {"input": vectors.normal(*shape), "weight": vectors.normal(count)}
    vectors.case({"name": "prelu"}, prelu, ["input", "weight"], **inputs)

inf, nan = torch.inf, torch.nan
corners("relu", [0.0, -0.0, inf, -inf, nan])
# At NaN the gradient of clamps is 0 or 1 there, depending on where in memory an element lies.
corners("relu6", [0.0, 6.0, inf, -inf])
corners("leaky_relu", [0.0, inf, -inf, nan], negative_slope=0.1)
corners("elu", [0.0, inf, -inf, nan], alpha=1.3)
corners("selu", [0.0, inf, -inf, nan])
corners("celu", [0.0, inf, -inf, nan], alpha=1.3)
corners("hardtanh", [-1.0, 0.5, inf, -inf], min_val=-1.0, max_val=0.5)
corners("hardsigmoid", [-3.0, 3.0, inf, -inf, nan])
corners("hardswish", [-3.0, 3.0, inf, nan])
corners("hardshrink", [-0.5, 0.5, inf, -inf, nan], lambd=0.5)
corners("softshrink", [-0.5, 0.5, inf, -inf, nan], lambd=0.5)
corners("threshold", [0.5, 0.0, inf, -inf, nan], threshold=0.5, value=2.0)
corners("softplus", [10.0, 10.25, inf, -inf, nan], beta=2.0, threshold=20.0)
corners("tanhshrink", [0.0, inf, -inf, nan])
corners("sigmoid", [0.0, 1e4, -1e4, inf, -inf, nan])
corners("tanh", [0.0, 1e4, -1e4, inf, -inf, nan])
corners("logsigmoid", [0.0, 30.0, inf, -inf, nan])
for name in ["silu", "mish", "gelu", "softsign"]:
    corners(name, [0.0, 5.0, -5.0, nan])
    corners(name, [1e4, -1e4])
corners("gelu", [0.0, 5.0, -5.0, nan], approximate="tanh")
corners("gelu", [1e4, -1e4], approximate="tanh")
for name in ["softmax", "log_softmax"]:
    corners(name, [[0.0, 1e4, -1e4], [700.0, 701.0, -inf], [1e300, 1e300, -1e300], [nan, 0.0, 1.0]], dim=1)

vectors.write()
