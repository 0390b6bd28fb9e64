"""The processes that train one network together: what they tell each other, so that all of them hold the same.

After every step each rank has the same weights and the same floating buffers, to the last bit. So any of them can say
what comes next, and the first alone writes checkpoints and metrics. Counters are each rank's own; they count the same,
unless a last batch is too small for all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mltool.core.errors import MltoolError
from mltool.modeling.training.bucket import Bucket, writable_buffers

T = TypeVar("T")


class LostRankError(MltoolError):
    """Another rank ended in the middle of the work; why, it said itself."""


class Ranks(Protocol):
    """One of `size` processes; every method is called by all of them, in the same order.

    Raises:
        LostRankError: By each method, if another rank has ended.
    """

    rank: int
    size: int

    def begin(self, network: nn.Module) -> None:
        """Give every rank the weights and buffers of the first."""

    def join(self, share: float, stop: bool) -> bool:
        """Make the gradients those of the whole batch, of which this rank had `share`; whether any is to stop."""

    def sums(self, values: Sequence[float]) -> list[float]:
        """The sum over ranks of each value."""

    def gather(self, data: bytes) -> list[bytes]:
        """What each rank has, on the first; nothing on the others."""

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first rank makes, which must be plain data."""


class Alone:
    """All there is: nothing has to be told to anybody."""

    rank, size = 0, 1

    def begin(self, network: nn.Module) -> None: ...

    def join(self, share: float, stop: bool) -> bool:
        return stop

    def sums(self, values: Sequence[float]) -> list[float]:
        return list(values)

    def gather(self, data: bytes) -> list[bytes]:
        return [data]

    def from_first(self, make: Callable[[], T]) -> T:
        return make()


class Group:
    """This process among those of torch's default process group, which the caller opens and closes."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._buckets: list[Bucket] = []

    def begin(self, network: nn.Module) -> None:
        for tensor in (*network.parameters(), *writable_buffers(network)):
            # As bytes: not every backend knows every type, and none takes a layout such as channels-last.
            plain = tensor.detach().clone(memory_format=torch.contiguous_format).flatten()
            with _lost_ranks():
                dist.broadcast(plain.view(torch.uint8), 0)
            tensor.detach().copy_(plain.view(tensor.shape))
        self._buckets = Bucket.of(network, is_first=self.rank == 0)

    def join(self, share: float, stop: bool) -> bool:
        for bucket in self._buckets:
            bucket.fill(share, stop)
            with _lost_ranks():
                dist.all_reduce(bucket.flat)
        asked = [bucket.spread() for bucket in self._buckets]
        return any(asked)

    def sums(self, values: Sequence[float]) -> list[float]:
        total = torch.tensor(values, dtype=torch.float64)
        with _lost_ranks():
            dist.all_reduce(total)
        return total.tolist()

    def gather(self, data: bytes) -> list[bytes]:
        own, sizes = torch.tensor([len(data)]), [torch.empty(1, dtype=torch.int64) for _ in range(self.size)]
        with _lost_ranks():
            dist.all_gather(sizes, own)
            longest = max(int(size) for size in sizes)
            padded = torch.frombuffer(bytearray(data.ljust(longest + 1, b"\0")), dtype=torch.uint8)
            parts = [torch.empty_like(padded) for _ in sizes] if self.rank == 0 else None
            dist.gather(padded, parts, 0)
        return [part.numpy().tobytes()[: int(size)] for part, size in zip(parts or [], sizes, strict=False)]

    def from_first(self, make: Callable[[], T]) -> T:
        data = json.dumps(make()).encode() if self.rank == 0 else b""
        size = torch.tensor([len(data)])
        with _lost_ranks():
            dist.broadcast(size, 0)
            text = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else _empty(int(size))
            dist.broadcast(text, 0)
        made: Any = json.loads(text.numpy().tobytes())
        return made


def _empty(num_bytes: int) -> Tensor:
    return torch.empty(num_bytes, dtype=torch.uint8)


@contextmanager
def _lost_ranks() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise LostRankError(f"another process of this training ended: {str(error).partition(chr(10))[0]}") from error
