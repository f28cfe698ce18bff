"""Writes norms.safetensors beside this file: for each layer its state dict after three steps of training,
`batch_norm2d.weight`, `batch_norm2d.running_mean`, an input `batch_norm2d.x` with the output in evaluation,
`batch_norm2d.y`, and then in training, `batch_norm2d.train.y`, with the running statistics that this leaves,
`batch_norm2d.train.running_mean`. Needs PyTorch (2.15 wrote it) and safetensors."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(20261124)
TRACKED = {"affine": True, "track_running_stats": True}
LAYERS = {
    "batch_norm1d": (nn.BatchNorm1d(3, momentum=0.3), (5, 3)),
    "batch_norm1d_length": (nn.BatchNorm1d(3, eps=1e-3, bias=False), (2, 3, 4)),
    "batch_norm2d": (nn.BatchNorm2d(3), (2, 3, 4, 5)),
    "batch_norm2d_cumulative": (nn.BatchNorm2d(3, momentum=None, affine=False), (2, 3, 4, 5)),
    "batch_norm2d_untracked": (nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 4, 5)),
    "batch_norm3d": (nn.BatchNorm3d(3), (2, 3, 2, 4, 5)),
    "group_norm": (nn.GroupNorm(2, 6), (3, 6, 4, 5)),
    "group_norm_weight": (nn.GroupNorm(3, 6, eps=1e-3, bias=False), (4, 6)),
    "instance_norm1d": (nn.InstanceNorm1d(3, momentum=0.3, **TRACKED), (2, 3, 4)),
    "instance_norm1d_unbatched": (nn.InstanceNorm1d(3, **TRACKED), (3, 4)),
    "instance_norm2d": (nn.InstanceNorm2d(3, affine=True, bias=False), (2, 3, 4, 5)),
    "instance_norm3d": (nn.InstanceNorm3d(3, **TRACKED), (2, 3, 2, 4, 5)),
    "layer_norm": (nn.LayerNorm((4, 5)), (2, 3, 4, 5)),
    "layer_norm_weight": (nn.LayerNorm(5, eps=1e-3, bias=False), (2, 3, 5)),
    "rms_norm": (nn.RMSNorm((4, 5)), (2, 3, 4, 5)),
    "rms_norm_eps": (nn.RMSNorm(5, eps=1e-2), (2, 3, 5)),
}
tensors = {}
for name, (layer, shape) in LAYERS.items():
    parameters = list(layer.parameters())
    for parameter in parameters:
        nn.init.normal_(parameter)
    for step in range(3):
        loss = (layer(2 * torch.randn(shape) + step) - torch.randn(shape)).square().mean()
        if parameters:
            layer.zero_grad()
            loss.backward()
            torch.optim.SGD(parameters, lr=0.1).step()
    x = torch.randn(shape) + 1
    tensors |= {f"{name}.{key}": value.clone() for key, value in layer.state_dict().items()}
    tensors |= {f"{name}.x": x, f"{name}.y": layer.eval()(x).detach(), f"{name}.train.y": layer.train()(x).detach()}
    tensors |= {f"{name}.train.{key}": value.clone() for key, value in layer.named_buffers()}
    if name.startswith("instance_norm"):
        # PyTorch's instance normalisation does not count its batches.
        tensors.pop(f"{name}.train.num_batches_tracked", None)
save_file({key: value.contiguous() for key, value in tensors.items()}, Path(__file__).with_suffix(".safetensors"))
