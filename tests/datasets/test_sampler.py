from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.datasets.sampler import Sampler

# Axes: N samples


def batches(sampler: Sampler, epoch: int, *, start: int = 0, num_batches: int = 4) -> list[list[int]]:
    found = []
    for block in sampler.blocks(epoch, start=start, num_batches=num_batches):
        ends = np.cumsum(block.batch_sizes)
        found += [rows_N.tolist() for rows_N in np.split(block.rows_N, ends[:-1])]
    return found


def expected(sampler: Sampler, epoch: int) -> list[list[int]]:
    """The batches in the plainest words: the order, cut into pieces, without a last piece of one."""
    order_N = sampler.order(epoch).tolist()
    pieces = [order_N[low : low + sampler.batch_size] for low in range(0, len(order_N), sampler.batch_size)]
    return pieces[:-1] if len(pieces) > 1 and len(pieces[-1]) == 1 < sampler.batch_size else pieces


@given(
    num_samples=st.integers(1, 120),
    batch_size=st.integers(1, 130),
    num_ranks=st.integers(1, 7),
    block=st.integers(1, 9),
    epoch=st.integers(0, 5),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_the_slices_of_all_ranks_put_together_are_the_batches_of_one_process(
    num_samples: int, batch_size: int, num_ranks: int, block: int, epoch: int, seed: int, data: st.DataObject
) -> None:
    single = Sampler(num_samples, batch_size, seed)
    whole = expected(single, epoch)
    first = data.draw(st.integers(0, len(whole)), label="first batch")
    start = min(first * batch_size, sum(map(len, whole)))
    ranks = [
        batches(Sampler(num_samples, batch_size, seed, rank, num_ranks), epoch, start=start, num_batches=block)
        for rank in range(num_ranks)
    ]
    together = [[row for part in parts for row in part] for parts in zip(*ranks, strict=True)]
    assert together == whole[first:]
    for parts in zip(*ranks, strict=True):
        sizes = [len(part) for part in parts if part]
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= min(2, batch_size // num_ranks, sum(sizes))  # batch norm cannot train on one
        assert len(sizes) == num_ranks or sum(sizes) < 2 * num_ranks


@given(num_samples=st.integers(1, 200), batch_size=st.integers(1, 64), block=st.integers(1, 9))
def test_the_end_of_every_block_is_where_a_run_can_go_on(num_samples: int, batch_size: int, block: int) -> None:
    sampler = Sampler(num_samples, batch_size, seed=3)
    seen: list[list[int]] = []
    for part in sampler.blocks(7, num_batches=block):
        assert part.end % (block * batch_size) == 0 or part.end == sum(map(len, expected(sampler, 7)))
        seen += batches(sampler, 7, start=part.end - len(part.rows_N), num_batches=1)[: len(part.batch_sizes)]
        assert seen + batches(sampler, 7, start=part.end, num_batches=5) == expected(sampler, 7)
    assert seen == expected(sampler, 7)


@given(num_samples=st.integers(1, 200), batch_size=st.integers(1, 210))
def test_the_number_of_batches_is_that_of_the_batches(num_samples: int, batch_size: int) -> None:
    sampler = Sampler(num_samples, batch_size, seed=0)
    assert sampler.num_batches == len(expected(sampler, 0)) == len(batches(sampler, 0))


def test_an_epoch_shows_every_sample_once_and_each_epoch_in_its_own_order() -> None:
    sampler = Sampler(50, 8, seed=1)
    orders = [[row for batch in batches(sampler, epoch) for row in batch] for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert sampler.order(1).tolist() == Sampler(50, 3, seed=1, rank=2, num_ranks=4).order(1).tolist()
    assert sampler.order(1).tolist() != Sampler(50, 8, seed=2).order(1).tolist()
    # An epoch is no seed in disguise: seed 1 in epoch 2 is not seed 2 in epoch 1.
    assert sampler.order(2).tolist() != Sampler(50, 8, seed=2).order(1).tolist()


def test_a_last_batch_of_one_sample_waits_for_another_epoch() -> None:
    sampler = Sampler(9, 4, seed=0)
    assert [len(batch) for batch in batches(sampler, 0)] == [4, 4]
    left_out = {epoch: (set(range(9)) - {row for b in batches(sampler, epoch) for row in b}) for epoch in range(20)}
    assert all(len(rows) == 1 for rows in left_out.values())
    assert len(set.union(*left_out.values())) > 1


@pytest.mark.parametrize(("num_samples", "batch_size", "sizes"), [(3, 1, [1, 1, 1]), (1, 1, [1]), (1, 4, [1])])
def test_a_single_sample_is_kept_where_batches_cannot_be_larger(
    num_samples: int, batch_size: int, sizes: list[int]
) -> None:
    assert [len(batch) for batch in batches(Sampler(num_samples, batch_size, seed=0), 0)] == sizes
