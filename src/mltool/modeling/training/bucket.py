"""What ranks add up after each step, in one stretch of memory, so that it travels as one message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


class Bucket:
    """Gradients and buffers of one data type, and behind them who has which gradient, and who is to stop.

    The running statistics of norms become the mean over ranks, by their shares of the batch; every other buffer that
    of the first rank, so that a constant stays what it is to the last bit.
    """

    def __init__(self, weights: list[nn.Parameter], means: list[Tensor], others: list[Tensor], is_first: bool) -> None:
        self.weights, self.means, self.others, self.is_first = weights, means, others, is_first
        tensors: list[Tensor] = [*weights, *means, *others]
        self.num_flags = len(weights) + 1
        size = sum(tensor.numel() for tensor in tensors) + self.num_flags
        self.flat = torch.zeros(size, dtype=tensors[0].dtype, device=tensors[0].device)
        views = _cut(self.flat, tensors)
        self.gradients = views[: len(weights)]
        self.mean_views = views[len(weights) : len(weights) + len(means)]
        self.other_views = views[len(weights) + len(means) :]

    @classmethod
    def of(cls, network: nn.Module, *, is_first: bool) -> list[Bucket]:
        """One bucket for each data type of trained weights and floating buffers."""
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        norms = [module for module in network.modules() if isinstance(module, _NormBase)]
        statistics = {id(value) for norm in norms for value in (norm.running_mean, norm.running_var)}
        buffers = [buffer for buffer in writable_buffers(network) if buffer.is_floating_point()]
        means = [buffer for buffer in buffers if id(buffer) in statistics]
        others = [buffer for buffer in buffers if id(buffer) not in statistics]
        kinds = dict.fromkeys(_kind(tensor) for tensor in (*weights, *buffers))
        return [
            cls([weight for weight in weights if _kind(weight) == kind], _of(kind, means), _of(kind, others), is_first)
            for kind in kinds
        ]

    @torch.no_grad()
    def fill(self, share: float, stop: bool) -> None:
        """Put in what this rank has.

        Args:
            share: What part of the batch this rank had, as a fraction of 1.
        """
        present = [weight.grad is not None for weight in self.weights]
        if not all(present):
            self.flat.zero_()
        pairs = [(view, w.grad) for view, w in zip(self.gradients, self.weights, strict=True) if w.grad is not None]
        if pairs:
            torch._foreach_copy_([view for view, _ in pairs], [gradient for _, gradient in pairs])
        if self.means:
            torch._foreach_copy_(self.mean_views, self.means)
            torch._foreach_mul_(self.mean_views, share)
        for view, buffer in zip(self.other_views, self.others, strict=True):
            view.copy_(buffer) if self.is_first else view.zero_()
        self.flat[-self.num_flags :] = torch.tensor([*present, stop], dtype=self.flat.dtype)

    @torch.no_grad()
    def spread(self) -> bool:
        """Take out what all ranks have together; whether any of them is to stop."""
        *present, stop = self.flat[-self.num_flags :].tolist()
        for weight, view, is_present in zip(self.weights, self.gradients, present, strict=True):
            weight.grad = view if is_present else None  # what no loss reaches must not be decayed
        if self.means:
            torch._foreach_copy_(self.means, self.mean_views)
        for view, buffer in zip(self.other_views, self.others, strict=True):
            buffer.copy_(view)
        return bool(stop)


def writable_buffers(network: nn.Module) -> list[Tensor]:
    """All buffers but those that are one number, or one row, spread out by `expand`: nothing can write to them."""
    return [buffer for buffer in network.buffers() if buffer.numel() < 2 or 0 not in buffer.squeeze().stride()]


def _kind(tensor: Tensor) -> tuple[torch.dtype, torch.device]:
    return tensor.dtype, tensor.device


def _of(kind: tuple[torch.dtype, torch.device], tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if _kind(tensor) == kind]


def _cut(flat: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Views of consecutive parts that lie in memory as the tensors do: fused optimizers walk memory, not indices."""
    views, start = [], 0
    for tensor in tensors:
        strides = torch.empty_like(tensor, device="meta").stride()
        views.append(flat.as_strided(tensor.shape, strides, start))
        start += tensor.numel()
    return views
