"""The order of samples: a function of the seed and the epoch, never of the number of processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Axes: N samples


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive batches that are gathered at once.

    Attributes:
        rows_N: Rows of this rank, batch after batch.
        batch_sizes: How many of them belong to each batch.
        end: Position in the epoch after this block, in samples of all ranks.
    """

    rows_N: npt.NDArray[np.int64]
    batch_sizes: tuple[int, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Sampler:
    """Shuffled batches of `batch_size` samples over all ranks; rank r takes its slice of each of them.

    Batch norm cannot train on one sample. So a last batch of one is left out, and has its turn in other epochs; and a
    small last batch is shared by fewer ranks, of which each has two samples or more, while the others have none.
    """

    num_samples: int
    batch_size: int
    seed: int
    rank: int = 0
    num_ranks: int = 1

    @property
    def num_batches(self) -> int:
        full, rest = divmod(self.num_samples, self.batch_size)
        return full + (rest > 1 or (rest == 1 and self.batch_size == 1) or full == 0)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng((self.seed, epoch)).permutation(self.num_samples)

    def blocks(self, epoch: int, *, start: int = 0, num_batches: int) -> Iterator[Block]:
        """The batches of an epoch from position `start` on, up to `num_batches` at a time.

        Blocks end at multiples of `num_batches`, wherever the first begins.

        Args:
            start: Samples of all ranks that were seen already; the `end` of an earlier block.
        """
        order_N, step = self.order(epoch), self.batch_size
        stop = min(self.num_samples, self.num_batches * self.batch_size)
        while start < stop:
            block_samples = num_batches * self.batch_size
            end = min(stop, (start // block_samples + 1) * block_samples)
            slices = [self._slice(order_N[low : min(low + self.batch_size, end)]) for low in range(start, end, step)]
            yield Block(np.concatenate(slices), tuple(len(rows) for rows in slices), end)
            start = end

    def _slice(self, batch_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """This rank's part of a batch."""
        smallest = max(1, min(2, self.batch_size // self.num_ranks))
        num_parts = max(1, min(self.num_ranks, len(batch_N) // smallest))
        return np.array_split(batch_N, num_parts)[self.rank] if self.rank < num_parts else batch_N[:0]
