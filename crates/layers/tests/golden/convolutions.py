"""Writes convolutions.safetensors beside this file: for each layer its state dict, `conv1d.weight`, `conv1d.bias`, an input
`conv1d.x` and the output `conv1d.y`. Needs PyTorch (2.15 wrote it) and safetensors."""

from pathlib import Path

import torch
from safetensors.torch import save_file

torch.manual_seed(20261124)
LAYERS = {
    "conv1d": (torch.nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2, padding_mode="replicate"), (2, 4, 7)),
    "conv2d": (torch.nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), (2, 4, 5, 6)),
    "conv2d_same": (torch.nn.Conv2d(2, 3, (2, 3), padding="same", padding_mode="reflect", bias=False), (2, 2, 4, 5)),
    "conv3d": (torch.nn.Conv3d(2, 3, (1, 3, 2), stride=(1, 2, 1), padding=(0, 1, 1), padding_mode="circular"), (2, 2, 2, 4, 3)),
    "conv_transpose1d": (torch.nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (2, 4, 5)),
    "conv_transpose2d": (torch.nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0), dilation=(2, 1), groups=2), (2, 4, 3, 2)),
    "conv_transpose3d": (torch.nn.ConvTranspose3d(2, 3, (1, 3, 2), stride=(1, 2, 1), output_padding=(0, 1, 0), bias=False), (2, 2, 2, 2, 3)),
}
tensors = {}
for name, (layer, shape) in LAYERS.items():
    x = torch.randn(shape)
    tensors |= {f"{name}.{key}": value for key, value in layer.state_dict().items()}
    tensors |= {f"{name}.x": x, f"{name}.y": layer.eval()(x).detach()}
save_file({key: value.contiguous() for key, value in tensors.items()}, Path(__file__).with_suffix(".safetensors"))
