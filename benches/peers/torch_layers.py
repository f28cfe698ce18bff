"""Times PyTorch's convolution layers and batch norm on the CPU, for the tables in benches/README.md.

    pip install torch
    python3 benches/peers/torch_layers.py [--threads 2]

Prints milliseconds, medians: forward, and forward + backward of both gradients, in NCHW and in channels_last. PyTorch
gains from a tuned malloc: run it again with MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824.
"""

import argparse
import statistics
import time

import torch

# name, n, c_in, extent, c_out, kernel, stride, padding, groups: the layers of benches/lib.rs.
LAYERS = [
    ("mnist1", 64, 1, 28, 32, 3, 1, 0, 1),
    ("mnist2", 64, 32, 26, 64, 3, 1, 0, 1),
    ("res64", 16, 64, 56, 64, 3, 1, 1, 1),
    ("res128s2", 16, 128, 56, 128, 3, 2, 1, 1),
    ("res256", 16, 256, 14, 256, 3, 1, 1, 1),
    ("pointwise", 16, 256, 14, 1024, 1, 1, 0, 1),
    ("stem", 4, 3, 224, 64, 7, 2, 3, 1),
    ("depthwise", 16, 64, 56, 64, 3, 1, 1, 64),
]


def median_ms(f, repeats=15, warmup=3):
    for _ in range(warmup):
        f()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def times(f, arguments):
    """Forward, and forward + backward of every argument."""
    cotangent = torch.ones_like(f(*arguments))
    with torch.no_grad():
        forward = median_ms(lambda: f(*arguments))
    both = median_ms(lambda: torch.autograd.grad(f(*arguments), arguments, cotangent))
    return f"{forward:8.2f}{both:8.2f}"


def random(layout, *shape):
    return torch.randn(*shape).to(memory_format=layout).requires_grad_()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'layer':<12}{'NCHW':>8}{'+ bwd':>8}{'NHWC':>8}{'+ bwd':>8}")
    layouts = (torch.contiguous_format, torch.channels_last)
    for name, n, c_in, extent, c_out, kernel, stride, padding, groups in LAYERS:
        row = f"{name:<12}"
        for layout in layouts:
            x = random(layout, n, c_in, extent, extent)
            w = random(layout, c_out, c_in // groups, kernel, kernel)
            row += times(lambda x, w: torch.nn.functional.conv2d(x, w, None, stride, padding, 1, groups), (x, w))
        print(row, flush=True)
    row = f"{'batch_norm':<12}"
    for layout in layouts:
        arguments = (random(layout, 32, 64, 56, 56), torch.ones(64, requires_grad=True), torch.zeros(64, requires_grad=True))
        row += times(lambda x, w, b: torch.nn.functional.batch_norm(x, None, None, w, b, training=True), arguments)
    print(row, flush=True)


if __name__ == "__main__":
    main()
