"""The training of examples/mnist in PyTorch: the same digits, net, augmentation, optimiser and schedule.

    pip install torch numpy
    python3 benches/peers/torch_mnist.py --seed 1 --threads 2

Prints a line an epoch: the seconds since the training began, without the time of judging, and the test accuracy. taper's side is
`cargo run --release -p mnist -- --seed 1`, whose metrics.csv has the same figures.
"""

import argparse
import gzip
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

DATA = Path(__file__).parents[2] / "examples/mnist/data"


def digits(part):
    with gzip.open(DATA / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(DATA / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return torch.from_numpy(images / np.float32(255)), torch.from_numpy(labels.astype(np.int64))


def net():
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10),
    )  # fmt: skip


def augmented(images):
    """A turn of up to 12 degrees, whole-pixel shifts of up to 7 %, scales of 0.88 to 1.12, a draw a picture."""
    n = len(images)
    angle = (torch.rand(n) * 2 - 1) * math.radians(12)
    scale = 0.88 + 0.24 * torch.rand(n)
    shift = torch.round((torch.rand(n, 2) * 2 - 1) * 0.07 * 28) * 2 / 28
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    x = -(cos * shift[:, 0] + sin * shift[:, 1])
    y = sin * shift[:, 0] - cos * shift[:, 1]
    theta = torch.stack([torch.stack([cos, sin, x], 1), torch.stack([-sin, cos, y], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.004)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    (x, y), (x_test, y_test) = digits("train"), digits("t10k")
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    steps = args.epochs * math.ceil(len(x) / args.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=steps, cycle_momentum=False)
    spent = 0.0
    for epoch in range(args.epochs):
        begin = time.perf_counter()
        model.train()
        for batch in torch.randperm(len(x)).split(args.batch_size):
            loss = F.cross_entropy(model(augmented(x[batch]) / 0.3081), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        spent += time.perf_counter() - begin
        model.eval()
        with torch.no_grad():
            accuracy = (model(x_test / 0.3081).argmax(1) == y_test).float().mean().item()
        print(f"epoch {epoch + 1}: {spent:.1f} s, test accuracy {100 * accuracy:.2f} %", flush=True)


if __name__ == "__main__":
    main()
