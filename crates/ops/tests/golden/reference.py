"""What the scripts here share: calls of PyTorch written down in the form that tests/support reads."""

import json
import struct

import torch


class Vectors:
    """Cases of one file: inputs, outputs, a random cotangent and the gradients it gives, in float64."""

    def __init__(self, op, seed):
        self.op, self.seed = op, seed
        self.random = torch.Generator().manual_seed(seed)
        self.cases, self.tensors = [], {}

    def normal(self, *shape):
        return torch.randn(shape, generator=self.random, dtype=torch.float64)

    def case(self, kwargs, call, grads=(), **inputs):
        """Records `call(**inputs)` and, for each input named in `grads`, its gradient."""
        name = f"{len(self.cases):04}"
        inputs = {key: value.detach().clone().requires_grad_(key in grads) for key, value in inputs.items()}
        output = call(**inputs)
        tensors = {**inputs, "output": output}
        if grads:
            cotangent = self.normal(*output.shape)
            output.backward(cotangent)
            tensors |= {"cotangent": cotangent, **{f"grad_{key}": inputs[key].grad for key in grads}}
        self.tensors |= {f"{name}.{key}": value.detach().contiguous() for key, value in tensors.items()}
        case = {"id": name, "kwargs": kwargs, "inputs": list(inputs), "outputs": ["output"], "grads": list(grads)}
        self.cases.append({**case, "error": None})

    def write(self):
        """Writes `<op>.safetensors`."""
        dtypes = {torch.float64: ("F64", "d"), torch.int64: ("I64", "q")}
        metadata = {"op": self.op, "reference": f"torch {torch.__version__}", "seed": str(self.seed)}
        header, data = {"__metadata__": {**metadata, "cases": json.dumps(self.cases)}}, b""
        for name, tensor in self.tensors.items():
            dtype, letter = dtypes[tensor.dtype]
            values = tensor.flatten().tolist()
            start, data = len(data), data + struct.pack(f"<{len(values)}{letter}", *values)
            header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, len(data)]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(f"{self.op}.safetensors", "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data)
