"""Writes losses.safetensors, the vectors that tests/loss.rs reads. Run here, with PyTorch 2.15."""

import torch
import torch.nn.functional as F
from reference import Vectors

vectors = Vectors("losses", 20261124)


def case(name, input, target, grads=("input", "target"), weights={}, **kwargs):
    call = lambda input, target, **weights: getattr(F, name)(input, target, **weights, **kwargs)
    vectors.case({"name": name, **kwargs}, call, grads, input=input, target=target, **weights)


ELEMENTS = [("none", (4, 3)), ("sum", (5,)), ("mean", (2, 3, 4)), ("batchmean", (2, 3, 4))]
POSITIONS = [("none", (4, 3, 2)), ("sum", (5,)), ("sum", (4, 3)), ("mean", (2, 5, 3, 4))]
for reduction, shape in ELEMENTS[:3]:
    pair = lambda: (2 * vectors.normal(*shape), vectors.normal(*shape))
    case("mse_loss", *pair(), reduction=reduction)
    case("l1_loss", *pair(), reduction=reduction)
    for beta in [0.0, 0.6, 2.0]:
        case("smooth_l1_loss", *pair(), reduction=reduction, beta=beta)
    for delta in [0.6, 2.0]:
        case("huber_loss", *pair(), reduction=reduction, delta=delta)

for reduction, shape in ELEMENTS:
    log_p, log_q = (vectors.normal(*shape).log_softmax(-1) for _ in range(2))
    case("kl_div", log_p, log_q.exp(), reduction=reduction)
    case("kl_div", log_p, log_q, reduction=reduction, log_target=True)

for reduction, shape in ELEMENTS[:3]:
    pair = lambda: (3 * vectors.normal(*shape), vectors.normal(*shape).sigmoid())
    name = "binary_cross_entropy_with_logits"
    case(name, *pair(), reduction=reduction)
    weight, pos_weight = vectors.normal(*shape).exp(), vectors.normal(shape[-1]).exp()
    case(name, *pair(), reduction=reduction, weights={"weight": weight})
    case(name, *pair(), reduction=reduction, weights={"pos_weight": pos_weight})
    case(name, *pair(), reduction=reduction, weights={"weight": weight[:1], "pos_weight": pos_weight[:1]})

for reduction, shape in POSITIONS:
    classes = shape[min(len(shape), 2) - 1]
    positions = [*shape[:1], *shape[2:]] if len(shape) > 1 else []
    target = torch.randint(classes, positions, generator=vectors.random)
    log_p = lambda: vectors.normal(*shape).log_softmax(min(len(shape), 2) - 1)
    case("nll_loss", log_p(), target, ["input"], reduction=reduction)
    weights = {"weight": vectors.normal(classes).exp()}
    case("nll_loss", log_p(), target, ["input"], weights, reduction=reduction)
    if positions:
        ignored = int(target.flatten()[0])
        case("nll_loss", log_p(), target, ["input"], weights, reduction=reduction, ignore_index=ignored)

vectors.write()
