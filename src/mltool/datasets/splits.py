"""Which rows train, which validate, which test."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mltool.core.errors import DataError
from mltool.datasets.source import Rows

# Axes: N rows


def carve(
    rows_N: Rows, fraction: float, seed: int, stratify_N: npt.NDArray[np.int64] | None = None
) -> tuple[Rows, Rows]:
    """Divide `rows_N` at random into (rest, carved), both in rising order.

    Args:
        fraction: Share of the rows that is carved out, as a fraction of 1.
        stratify_N: Class code of every row of the source: each class gives its share, rounded so that the whole has
            the right size. None carves without regard to classes.
    """
    generator = np.random.default_rng(seed)
    rank_N = generator.permutation(len(rows_N)).astype(np.float64)
    if stratify_N is not None:
        codes_N = stratify_N[rows_N]
        for code in np.unique(codes_N):
            members = np.flatnonzero(codes_N == code)
            order = members[np.argsort(rank_N[members])]
            # Spread every class evenly over [0, 1): any cut then takes the same share of each class.
            rank_N[order] = (np.arange(len(order)) + generator.random()) / len(order)
    num_carved = round(len(rows_N) * fraction)
    carved = np.argsort(rank_N, kind="stable")[:num_carved]
    is_carved = np.zeros(len(rows_N), dtype=bool)
    is_carved[carved] = True
    return rows_N[~is_carved], rows_N[is_carved]


def complete(
    num_rows: int,
    given: Mapping[str, Rows],
    stratify_N: npt.NDArray[np.int64] | None,
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> tuple[dict[str, Rows], list[str]]:
    """The rows of all three splits, and in words what was carved out.

    Raises:
        DataError: No row is left to train on.
    """
    splits = {name: np.asarray(rows, dtype=np.int64) for name, rows in given.items()}
    notes = []
    if "train" not in splits:
        splits["train"] = np.setdiff1d(np.arange(num_rows, dtype=np.int64), np.concatenate([[], *splits.values()]))
        splits["train"] = splits["train"].astype(np.int64)
    if "test" not in splits:
        splits["train"], splits["test"] = carve(splits["train"], test_fraction, seed, stratify_N)
        notes.append(f"carved out {len(splits['test'])} rows for the test (`data.test_fraction={test_fraction:g}`)")
    if "validation" not in splits:
        share = min(1.0, validation_fraction / max(1e-9, 1 - (test_fraction if "test" not in given else 0.0)))
        splits["train"], splits["validation"] = carve(splits["train"], share, seed + 1, stratify_N)
        key = f"`data.validation_fraction={validation_fraction:g}`"
        notes.append(f"carved out {len(splits['validation'])} rows for validation ({key})")
    if not len(splits["train"]):
        raise DataError(
            f"no row is left to train on: there are {num_rows}",
            hint="give more data, or lower `data.test_fraction` and `data.validation_fraction`",
        )
    return splits, notes
