"""Writes linear.safetensors beside this file: for each layer its state dict, `linear.weight`, an input `linear.x` and the output
`linear.y`. Needs PyTorch (2.15 wrote it) and safetensors."""

from pathlib import Path

import torch
from safetensors.torch import save_file

torch.manual_seed(20261124)
LAYERS = {
    "linear": (torch.nn.Linear(7, 5), (3, 7)),
    "linear_no_bias": (torch.nn.Linear(4, 6, bias=False), (2, 3, 4)),
}
tensors = {}
for name, (layer, shape) in LAYERS.items():
    x = torch.randn(shape)
    tensors |= {f"{name}.{key}": value for key, value in layer.state_dict().items()}
    tensors |= {f"{name}.x": x, f"{name}.y": layer(x).detach()}
save_file(tensors, Path(__file__).with_suffix(".safetensors"))
