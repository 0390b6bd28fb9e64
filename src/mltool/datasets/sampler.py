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

    A last batch of one sample is left out, because batch norm cannot train on it; it has its turn in other epochs.
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

        Args:
            start: Samples of all ranks that were seen already; the `end` of an earlier block.
        """
        order_N = self.order(epoch)
        stop = min(self.num_samples, self.num_batches * self.batch_size)
        while start < stop:
            end = min(stop, start + num_batches * self.batch_size)
            slices = [
                np.array_split(order_N[low : min(low + self.batch_size, end)], self.num_ranks)[self.rank]
                for low in range(start, end, self.batch_size)
            ]
            yield Block(np.concatenate(slices), tuple(len(rows) for rows in slices), end)
            start = end
