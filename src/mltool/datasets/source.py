"""What a reader understood of a source, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mltool.core.errors import DataError
from mltool.datasets.schema import Schema

# Axes: N rows

SPLITS = ("train", "validation", "test")
SPLIT_WORDS = {
    "training": "train",
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "testing": "test",
    "test": "test",
}
"""What folders and arrays call the splits."""

Rows = npt.NDArray[np.int64]
Batch = tuple[dict[str, npt.NDArray[np.generic]], npt.NDArray[np.generic]]
"""The arrays of some rows by input name, and their targets; axis 0 of every array is the row."""


@dataclass(slots=True)
class Damage:
    """Rows or files that could not be used: counted, listed, and too many of them are an error."""

    num_seen: int = 0
    found: list[tuple[str, str]] = field(default_factory=list)
    """Where (`data.csv:17`, `cats/3.jpg`) and why, in the order they were met."""

    def add(self, where: str, why: str) -> None:
        self.found.append((where, why))

    def enforce(self, max_fraction: float) -> None:
        """Raise if more than `max_fraction` of the rows seen are damaged.

        Raises:
            DataError: Names the first damaged rows and the limit.
        """
        if self.num_seen and len(self.found) > max_fraction * self.num_seen:
            where, why = self.found[0]
            raise DataError(
                f"{len(self.found)} of {self.num_seen} rows are damaged, more than the limit of {max_fraction:.1%}; "
                f"the first is `{where}`: {why}",
                hint="mend the data, or accept more with `data.max_damaged=0.1` (a fraction of 1)",
            )


class Source(Protocol):
    """Data that was understood but not decoded; made by a reader from `DataConfig`.

    Attributes:
        num_rows: Rows, the damaged ones that were already found left out.
        stratify_N: Class codes to stratify a random split by, or None (regression, or too many values).
        splits: Row numbers of each split when the source has them (a `test` folder, `train_images`), else empty.
            A source may give only some of `SPLITS`; a missing validation split is carved out of train by the caller.
        notes: What was understood, in sentences for the user.
        damage: Grows while batches are read.
        fingerprint: SHA-256 over the content of the source, so that an unchanged source is not decoded again.
    """

    num_rows: int
    stratify_N: npt.NDArray[np.int64] | None
    splits: Mapping[str, Rows]
    notes: list[str]
    damage: Damage
    fingerprint: str

    def schema(self, train_rows: Rows) -> Schema:
        """The schema, with vocabularies fitted on the training rows only.

        Raises:
            DataError: The columns cannot be used (one class only, no rows, duplicated names).
        """

    def estimated_bytes(self) -> int:
        """Disk space of all decoded columns."""

    def batches(self, rows: Rows, schema: Schema) -> Iterator[Batch]:
        """Decode `rows` in order, in batches of bounded memory; damaged rows are left out and added to `damage`."""
