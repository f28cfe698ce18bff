"""Writes activations.safetensors beside this file: for each layer its state dict, `prelu.weight`, an input `prelu.x` and the
output `prelu.y`. Needs PyTorch (2.15 wrote it) and safetensors."""

from pathlib import Path

import torch
from safetensors.torch import save_file

torch.manual_seed(20261124)
LAYERS = {
    "prelu": (torch.nn.PReLU(), (2, 3, 4)),
    "prelu_channels": (torch.nn.PReLU(3), (2, 3, 4, 5)),
}
tensors = {}
for name, (layer, shape) in LAYERS.items():
    x = torch.randn(shape)
    torch.nn.init.normal_(layer.weight)
    tensors |= {f"{name}.weight": layer.weight.detach(), f"{name}.x": x, f"{name}.y": layer(x).detach()}
save_file(tensors, Path(__file__).with_suffix(".safetensors"))
