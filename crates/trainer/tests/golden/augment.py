"""Prints augment.json, which tests/augment_golden.rs holds the transforms' arithmetic to: python augment.py > augment.json"""

import json
import torch
import torchvision
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

torch.manual_seed(22)
rows = []


def row(op, parameters, image, output):
    flat = [round(v, 7) for v in output.flatten().tolist()]
    rows.append({"op": op, "parameters": parameters, "shape": list(image.shape),
                 "input": [round(v, 6) for v in image.flatten().tolist()], "output": flat})


def image(*shape):
    return torch.round(torch.rand(shape, dtype=torch.float64) * 1e6) / 1e6


for op, function, factors in [
    ("brightness", F.adjust_brightness, [0.0, 0.4, 1.7]),
    ("contrast", F.adjust_contrast, [0.0, 0.3, 1.9]),
    ("saturation", F.adjust_saturation, [0.0, 0.6, 2.5]),
    ("hue", F.adjust_hue, [-0.5, -0.21, 0.07, 0.4]),
]:
    for factor in factors:
        for channels in [1, 3]:
            x = image(channels, 3, 4)
            if channels == 3:
                x[:, 0, 1] = 0.25  # grey: no hue
                x[:, 1, 2] = torch.tensor([0.5, 0.5, 0.2])  # two largest
                x[:, 2, 3] = 0.0
            row(op, [factor], x, function(x, factor))

for shape, size in [((2, 5, 7), (3, 4)), ((1, 4, 3), (9, 5)), ((3, 6, 5), (2, 11)), ((1, 7, 4), (7, 3)), ((1, 1, 6), (4, 1)),
                    ((2, 9, 2), (2, 2))]:
    x = image(*shape)
    row("resize", list(size), x, F.resize(x, list(size), InterpolationMode.BILINEAR, antialias=True))

for shape, size in [((2, 5, 7), (3, 4)), ((1, 6, 5), (3, 2)), ((1, 4, 3), (1, 3))]:
    x = image(*shape)
    row("center_crop", list(size), x, F.center_crop(x, list(size)))

for shape, degrees, translate, scale in [((2, 5, 7), 20.0, [1, -2], 0.9), ((1, 6, 4), -75.0, [0, 1], 1.3)]:
    x = image(*shape)
    y = F.affine(x, degrees, translate, scale, [0.0, 0.0], InterpolationMode.BILINEAR)
    row("affine", [degrees, *translate, scale], x, y)

for shape in [(1, 3, 4), (2, 5, 3)]:
    x = image(*shape)
    row("horizontal_flip", [], x, F.hflip(x))
    row("vertical_flip", [], x, F.vflip(x))

x = image(2, 3, 4)
row("normalize", [0.4, 0.6, 0.2, 0.3], x, F.normalize(x, [0.4, 0.6], [0.2, 0.3]))
print(json.dumps({"reference": f"torchvision {torchvision.__version__.split('+')[0]}", "rows": rows}))
