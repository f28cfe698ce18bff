"""Writes conv2d_wide.safetensors: layers with as many channels as fill vectors and leave a remainder. Run here, with
PyTorch 2.15."""

import torch.nn.functional as F
from reference import Vectors

vectors = Vectors("conv2d_wide", 20261124)


def case(batch, channels, extents, out_channels, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    spec = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    call = lambda input, weight, bias: F.conv2d(input, weight, bias, **spec)
    weight = vectors.normal(out_channels, channels // groups, *kernel_size)
    tensors = {"input": vectors.normal(batch, channels, *extents), "weight": weight, "bias": vectors.normal(out_channels)}
    vectors.case({key: list(value) if key != "groups" else value for key, value in spec.items()}, call, tensors, **tensors)


case(2, 17, (5, 18), 14, (3, 3), padding=(1, 1))
case(3, 33, (4, 7), 13, (3, 3), padding=(0, 2))
case(2, 3, (11, 17), 15, (7, 5), stride=(2, 2), padding=(3, 2))
case(2, 18, (7, 8), 25, (3, 3), stride=(2, 1), padding=(1, 0))
case(2, 19, (3, 17), 26, (1, 1))
case(2, 12, (6, 19), 12, (3, 3), padding=(1, 1), groups=12)
case(2, 6, (7, 9), 24, (3, 2), stride=(1, 2), padding=(1, 1), groups=3)
case(2, 40, (5, 6), 14, (3, 3), padding=(2, 2), dilation=(2, 1), groups=2)
case(9, 16, (8, 4), 5, (3, 3), padding=(1, 1))
vectors.write()
