"""The whole of what a model computes: preprocessing, the network, and named outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mltool.datasets.schema import TensorSpec
from mltool.modeling.user_code import user_code
from mltool.runtimes.runner import Arrays, Signature, Whole

# Axes: N samples

_BATCH_ROWS = 256


class Served(nn.Module):
    """Raw arrays in the order of the schema's inputs to outputs in the order of their names."""

    def __init__(self, network: nn.Module, preprocess: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.network, self.preprocess, self.head = network, nn.ModuleList(preprocess), head

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        prepared = [module(x) for module, x in zip(self.preprocess, inputs, strict=True)]
        return self.head(self.network(*prepared))


def run_eager(served: Served, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of the eager float network, the reference for every graph made from it.

    Raises:
        UserCodeError: The user's forward raises.
    """
    served.eval()
    outputs = Whole(len(inputs[0]))
    with torch.no_grad(), user_code("the network's forward"):
        for start in range(0, len(inputs[0]), _BATCH_ROWS):
            # Copies, because torch wants arrays that can be written, and columns are mapped read-only.
            chunk = [torch.from_numpy(np.array(x[start : start + _BATCH_ROWS])) for x in inputs]
            outputs.write(start, {name: value.numpy() for name, value in served(*chunk).items()})
    return outputs.arrays


def signature_of(inputs: Sequence[TensorSpec], outputs: Arrays) -> Signature:
    return Signature(
        tuple(inputs),
        tuple(TensorSpec(name, str(array.dtype), tuple(array.shape[1:])) for name, array in outputs.items()),
    )
