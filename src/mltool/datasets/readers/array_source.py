"""Arrays whose meaning is known, as a source of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mltool.core.errors import DataError
from mltool.datasets.classes import class_name
from mltool.datasets.readers.array_roles import Array
from mltool.datasets.schema import Column, ImageSpec, Schema, Target, TensorSpec
from mltool.datasets.source import Batch, Damage, Rows

# Axes: N rows

MAX_BATCH_BYTES = 16 * 2**20
MAX_BATCH_ROWS = 65536


@dataclass(frozen=True, slots=True)
class Stored:
    """One array of the schema, spread over the parts of the file; cast to `dtype` when it is read."""

    name: str
    kind: Literal["image", "tensor"]
    dtype: np.dtype[Any]
    parts: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.parts[0].shape[1:]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(slots=True)
class ArraySource:
    """Arrays whose meaning was understood; see `mltool.datasets.source.Source`."""

    name: str
    inputs: tuple[Stored, ...]
    target: Stored
    classes: tuple[str, ...]
    """Names of the classes in the order of their codes; empty unless the target is a class."""

    part_N: npt.NDArray[np.int64]
    """The part of the file that holds each row."""

    index_N: npt.NDArray[np.int64]
    """The place of each row in its part."""

    labels: tuple[str, ...]
    """Names of the arrays of labels, by part."""

    num_rows: int
    stratify_N: npt.NDArray[np.int64] | None
    splits: Mapping[str, Rows]
    notes: list[str]
    damage: Damage
    fingerprint: str
    _reported: set[int] = field(default_factory=set)

    def schema(self, train_rows: Rows) -> Schema:
        del train_rows  # nothing is fitted: classes are those of the file
        kind: Literal["class", "number", "tensor"] = "tensor" if self.target.shape else "number"
        if self.classes:
            kind = "class"
            present = np.unique(self.codes(np.arange(self.num_rows), self.classes))
            if len(present) < 2:
                raise DataError(
                    f"all labels of `{self.name}` are `{self.classes[present[0]]}`: there is only one class",
                    hint="name another array with `data.fields.labels=NAME`",
                )
        image = next((ImageSpec(*array.shape) for array in self.inputs if array.kind == "image"), None)
        return Schema(
            columns=tuple(Column(array.name, array.kind) for array in self.inputs),
            inputs=tuple(TensorSpec(array.name, array.dtype.name, array.shape) for array in self.inputs),
            target=Target(self.target.name, kind, self.classes),
            image=image,
        )

    def estimated_bytes(self) -> int:
        return self.num_rows * self._row_bytes()

    def batches(self, rows: Rows, schema: Schema) -> Iterator[Batch]:
        kind = schema.target.kind
        if kind != "class" and self.target.dtype.kind == "U":
            raise DataError(f"the labels of `{self.name}` are names, but `{schema.target.name}` is a {kind}")
        batch_rows = max(1, min(MAX_BATCH_ROWS, MAX_BATCH_BYTES // self._row_bytes()))
        for start in range(0, len(rows), batch_rows):
            chosen = np.asarray(rows[start : start + batch_rows], dtype=np.int64)
            if kind == "class":
                target_N: Array = self.codes(chosen, schema.target.classes)
                for row in chosen[target_N == -1].tolist():
                    self._report_unknown(row)
                chosen, target_N = chosen[target_N != -1], target_N[target_N != -1]
            else:
                target_N = self._gather(self.target, chosen)
                if kind == "number":
                    target_N = target_N.astype(np.float32)
            if len(chosen):
                yield {array.name: self._gather(array, chosen) for array in self.inputs}, target_N

    def _row_bytes(self) -> int:
        return max(1, sum(array.row_bytes for array in self.inputs) + max(8, self.target.row_bytes))

    def _gather(self, array: Stored, rows: Rows) -> Array:
        gathered = np.empty((len(rows), *array.shape), dtype=array.dtype)
        part_N, index_N = self.part_N[rows], self.index_N[rows]
        for number, stored in enumerate(array.parts):
            here = part_N == number
            gathered[here] = stored[index_N[here]]
        return gathered

    def codes(self, rows: Rows, classes: Sequence[str]) -> npt.NDArray[np.int64]:
        """The places of the rows' labels in `classes`; -1 for a label that is not there."""
        code_of = {name: code for code, name in enumerate(classes)}
        values, inverse = np.unique(self._gather(self.target, rows), return_inverse=True)
        found = [code_of.get(class_name(value), -1) for value in values.tolist()]
        return np.array(found, dtype=np.int64)[inverse]

    def _report_unknown(self, row: int) -> None:
        # Rows may be read more than once, but a row is damaged once.
        if row not in self._reported:
            self._reported.add(row)
            where = f"{self.labels[self.part_N[row]]}[{self.index_N[row]}]"
            self.damage.add(where, "its class is not a class of the dataset")
