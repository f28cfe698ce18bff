"""PyTorch's side of `cargo run --release -p taper-benches -- compare`: times one case in this process.

    pip install torch
    python3 benches/peers/torch_peer.py res64 --threads 2

Prints one line of JSON: milliseconds, medians, the better of NCHW and channels_last, and the process's peak memory in MiB.
With `--device cuda`, nets are timed compiled too; TF32 is off, as it is in taper unless asked for.
The cases are those of compare/cases.rs and compare/nets.rs.
"""

import argparse
import functools
import json
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

# n, c_in, extent, c_out, kernel, stride, padding, groups: the layers of benches/lib.rs.
LAYERS = {
    "mnist1": (64, 1, 28, 32, 3, 1, 0, 1),
    "mnist2": (64, 32, 26, 64, 3, 1, 0, 1),
    "res64": (16, 64, 56, 64, 3, 1, 1, 1),
    "res128s2": (16, 128, 56, 128, 3, 2, 1, 1),
    "res256": (16, 256, 14, 256, 3, 1, 1, 1),
    "pointwise": (16, 256, 14, 1024, 1, 1, 0, 1),
    "stem": (4, 3, 224, 64, 7, 2, 3, 1),
    "depthwise": (16, 64, 56, 64, 3, 1, 1, 64),
}

# What computes; main() sets it.
DEVICE = "cpu"

SMALL_MAP = (64, 32, 28, 28)


def norm(x, weight, bias):
    return F.batch_norm(x, None, None, weight, bias, training=True)


# Shapes of the arguments, and the operator.
OPERATORS = {
    "conv_transpose": ([(16, 64, 28, 28), (64, 32, 4, 4)], lambda x, w: F.conv_transpose2d(x, w, None, 2, 1)),
    "max_pool 2": ([SMALL_MAP], lambda x: F.max_pool2d(x, 2)),
    "max_pool 3 s2 p1": ([(16, 64, 112, 112)], lambda x: F.max_pool2d(x, 3, 2, 1)),
    "avg_pool 2": ([SMALL_MAP], lambda x: F.avg_pool2d(x, 2)),
    "dropout": ([SMALL_MAP], lambda x: F.dropout(x, 0.5, True)),
    "batch_norm": ([(32, 64, 56, 56), (64,), (64,)], norm),
}


def mnist():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        same = (c_in, 1) == (c_out, stride)
        project = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
        self.downsample = nn.Identity() if same else project

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


def resnet18():
    blocks, c_in = [], 64
    for c_out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(c_in, c_out, stride), Block(c_out, c_out, 1)]
        c_in = c_out
    stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


NETS = {
    "MNIST net": (mnist, (64, 1, 28, 28)),
    "LeNet-5": (lenet, (64, 1, 28, 28)),
    "LeNet-5, N = 1": (lenet, (1, 1, 28, 28)),
    "ResNet-18": (resnet18, (32, 3, 32, 32)),
}

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def median_ms(f, seconds=0.7, least=5):
    f()
    finish()
    times, begin = [], time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        f()
        finish()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def finish():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def random(layout, shape):
    x = torch.randn(*shape, device=DEVICE)
    return (x.to(memory_format=layout) if len(shape) == 4 else x).requires_grad_()


def operator(layout, shapes, f):
    arguments = [random(layout, shape) for shape in shapes]
    cotangent = torch.ones_like(f(*arguments))
    with torch.no_grad():
        forward = median_ms(lambda: f(*arguments))
    return forward, median_ms(lambda: torch.autograd.grad(f(*arguments), arguments, cotangent))


def step(layout, compiled, net, shape):
    torch.manual_seed(42)
    net = net().to(DEVICE, memory_format=layout)
    x = torch.randn(*shape, device=DEVICE).to(memory_format=layout)
    targets = torch.arange(shape[0], device=DEVICE) % 10
    net = torch.compile(net) if compiled else net
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def run():
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), targets).backward()
        optimizer.step()

    return None, median_ms(run)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.backends.cudnn.allow_tf32 = False
    global DEVICE
    DEVICE = arguments.device
    case, figures = arguments.case, []
    for layout in LAYOUTS:
        if case in LAYERS:
            n, c_in, extent, c_out, kernel, stride, padding, groups = LAYERS[case]
            shapes = [(n, c_in, extent, extent), (c_out, c_in // groups, kernel, kernel)]
            conv = functools.partial(F.conv2d, stride=stride, padding=padding, groups=groups)
            figures.append(operator(layout, shapes, conv))
        elif case in OPERATORS:
            figures.append(operator(layout, *OPERATORS[case]))
        else:
            compiles = [False, True] if DEVICE == "cuda" else [False]
            figures += [step(layout, compiled, *NETS[case]) for compiled in compiles]
    forwards = [forward for forward, _ in figures if forward is not None]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole = min(whole for _, whole in figures)
    print(json.dumps({"forward": min(forwards, default=None), "whole": whole, "peak_mib": peak}))


if __name__ == "__main__":
    main()
