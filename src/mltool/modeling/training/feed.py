"""Samples on their way from the columns to the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mltool.core import host
from mltool.datasets.columns import Columns
from mltool.datasets.schema import Schema

# Axes: N samples

MEMORY_SHARE = 0.25
"""How much of the memory that is free prepared columns may take."""
_CHUNK_BYTES = 4 << 20
_ALIGNMENT_BYTES = 64

Gathered = tuple[list[Tensor], Tensor]


class Feed(Protocol):
    """Prepared samples: preprocessing is done, targets are scaled."""

    target: Tensor

    def __len__(self) -> int: ...

    def gather(self, rows_N: npt.NDArray[np.int64]) -> Gathered:
        """Inputs in the order of the network's forward, and targets, of the given rows in the given order."""


def on_device(gathered: Gathered, device: torch.device) -> Gathered:
    """The same samples where the network is."""
    if device.type == "cpu":
        return gathered
    inputs, target_N = gathered
    return [tensor.to(device, non_blocking=True) for tensor in inputs], target_N.to(device, non_blocking=True)


class MemoryFeed:
    """All samples prepared once, as tensors in memory."""

    def __init__(self, inputs: list[Tensor], target: Tensor) -> None:
        self.inputs, self.target = inputs, target

    def __len__(self) -> int:
        return len(self.target)

    def gather(self, rows_N: npt.NDArray[np.int64]) -> Gathered:
        index_N = torch.from_numpy(rows_N)
        return [tensor.index_select(0, index_N) for tensor in self.inputs], self.target.index_select(0, index_N)


class MappedFeed:
    """Samples read from the memory-mapped columns and prepared when they are needed."""

    def __init__(self, columns: Columns, names: Sequence[str], preprocess: Sequence[nn.Module], target: Tensor) -> None:
        self.columns, self.names, self.preprocess, self.target = columns, names, preprocess, target

    def __len__(self) -> int:
        return len(self.target)

    def gather(self, rows_N: npt.NDArray[np.int64]) -> Gathered:
        with torch.no_grad():
            inputs = [
                aligned(module(torch.from_numpy(self.columns.inputs[name][rows_N])))
                for name, module in zip(self.names, self.preprocess, strict=True)
            ]
        return inputs, self.target.index_select(0, torch.from_numpy(rows_N))


def aligned(tensor: Tensor) -> Tensor:
    """The tensor at an address like those of whole tensors.

    Matrix products give other last bits on other alignments, and a batch must not depend on where its block began.
    """
    return tensor if tensor.data_ptr() % _ALIGNMENT_BYTES == 0 else tensor.clone()


def make_feed(
    columns: Columns,
    schema: Schema,
    preprocess: Sequence[nn.Module],
    target_scale: tuple[float, float],
    memory_share: float = MEMORY_SHARE,
) -> Feed:
    """Prepare the samples once if they fit into memory, else whenever they are needed.

    Args:
        memory_share: Prepared columns stay in memory while they take at most this share of what the process may use.
        target_scale: Mean and deviation that numeric targets are brought to 0 and 1 with; (0, 1) leaves them.
    """
    names = [spec.name for spec in schema.inputs]
    target = torch.from_numpy(np.array(columns.target))
    if target.is_floating_point() and target_scale != (0.0, 1.0):
        target = (target - target_scale[0]) / target_scale[1]
    prepared_bytes = sum(columns.inputs[name].size * 4 for name in names)
    if prepared_bytes > memory_share * host.available_memory_bytes():
        return MappedFeed(columns, names, preprocess, target)
    inputs = [_prepared(columns.inputs[name], module) for name, module in zip(names, preprocess, strict=True)]
    return MemoryFeed(inputs, target)


def _prepared(column: npt.NDArray[np.generic], module: nn.Module) -> Tensor:
    """Preprocess a whole column chunk by chunk into one tensor."""
    rows = max(1, _CHUNK_BYTES // max(1, column[:1].nbytes))
    prepared: Tensor | None = None
    with torch.no_grad():
        for start in range(0, len(column), rows):
            chunk = module(torch.from_numpy(np.array(column[start : start + rows])))
            if prepared is None:
                prepared = chunk.new_empty((len(column), *chunk.shape[1:]))
            prepared[start : start + rows] = chunk
        return module(torch.from_numpy(np.array(column))) if prepared is None else prepared
