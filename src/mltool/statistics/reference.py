"""What watching a model for drift needs of its training data, once the data is gone.

A directory of two files: `reference.npz` (every array; no pickle) and `reference.json` (names, the calibration, and
a digest over both, so that a damaged or mixed-up pair is refused). Equal input gives equal bytes. It holds up to
2,000 real rows and is as confidential as the data itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mltool.core.errors import ArtifactError
from mltool.statistics.calibration import ReliabilityBin, reliability_curve
from mltool.statistics.sketch import CategoryCounts, QuantileSketch

# Axes: N rows, F number columns, K category columns, C classes

ARRAYS_FILE = "reference.npz"
FACTS_FILE = "reference.json"
FORMAT_VERSION = 1
MAX_ROWS = 2_000
MAX_ROW_BYTES = 16 * 2**20
"""Limit of the kept rows and their outputs together."""

_COUNTS = ("num_rows", "num_missing", "num_infinite", "num_sampled")
_MOMENTS = ("minimum", "maximum", "mean", "std")
_EDGES = ("edges", "below", "up_to")
_DAMAGED_HINT = "restore the directory from where it was made, or make the model again with `mltool train`"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Columns by name, in the order they were given."""

    numbers: dict[str, QuantileSketch]
    categories: dict[str, CategoryCounts]
    class_counts: NDArray[np.int64] | None
    """Targets of each class [C]; None unless the task is classification."""
    rows: dict[str, NDArray[Any]]
    """Kept rows of each input; axis 0 is the row. No rows at all if a single one is above the limit."""
    outputs: dict[str, NDArray[Any]]
    """The model's outputs for exactly the kept rows."""
    reliability: list[ReliabilityBin] | None
    row_split: str
    """Split that `rows`, `outputs` and `reliability` came from."""

    def save(self, directory: Path) -> None:
        """Write both files, the JSON last; the directory is made if it is not there."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_pack(self))
        arrays_bytes = buffer.getvalue()
        facts: dict[str, Any] = {
            "version": FORMAT_VERSION,
            "row_split": self.row_split,
            "numbers": list(self.numbers),
            "categories": list(self.categories),
            "rows": list(self.rows),
            "outputs": list(self.outputs),
            "reliability": self.reliability,
        }
        facts["digest"] = _digest(arrays_bytes, facts)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ARRAYS_FILE).write_bytes(arrays_bytes)
        (directory / FACTS_FILE).write_bytes((json.dumps(facts, indent=2) + "\n").encode())

    @classmethod
    def load(cls, directory: Path) -> Reference:
        """The inverse of `save`.

        Raises:
            ArtifactError: A file is missing, damaged, does not belong to the other, or is of another version.
        """
        facts_path, arrays_path = directory / FACTS_FILE, directory / ARRAYS_FILE
        try:
            facts_bytes, arrays_bytes = facts_path.read_bytes(), arrays_path.read_bytes()
        except OSError as error:
            raise ArtifactError(
                f"the reference `{directory}` cannot be read: {error.strerror} (`{error.filename}`)",
                hint=_DAMAGED_HINT,
            ) from error
        try:
            facts = json.loads(facts_bytes)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"`{facts_path}` is damaged: {error}", hint=_DAMAGED_HINT) from error
        if not isinstance(facts, dict) or "digest" not in facts:
            raise ArtifactError(f"`{facts_path}` is not the reference of a model", hint=_DAMAGED_HINT)
        if facts.get("version") != FORMAT_VERSION:
            raise ArtifactError(
                f"`{facts_path}` has version `{facts.get('version')}`, but this mltool reads {FORMAT_VERSION}",
                hint="use the mltool that wrote it, or make the model again",
            )
        if facts.pop("digest") != _digest(arrays_bytes, facts):
            raise ArtifactError(f"the reference `{directory}` differs from its digest", hint=_DAMAGED_HINT)
        try:
            with np.load(io.BytesIO(arrays_bytes), allow_pickle=False) as arrays:
                return _unpack(facts, dict(arrays))
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"the reference `{directory}` is incomplete: {error}", hint=_DAMAGED_HINT) from error


def build_reference(
    *,
    numbers: Mapping[str, NDArray[Any]],
    categories: Mapping[str, tuple[NDArray[Any], int]],
    target_classes: NDArray[Any] | None,
    rows: Mapping[str, NDArray[Any]],
    outputs: Mapping[str, NDArray[Any]],
    row_split: str,
    correct: NDArray[Any] | None = None,
    confidence: NDArray[Any] | None = None,
    seed: int = 0,
) -> Reference:
    """Sketch the columns and draw the rows to keep.

    Args:
        numbers: Columns [N]; may be memory-mapped, as may every other array.
        categories: Codes [N] and the number of known values, V; codes are in `[0, V]`, 0 is unknown.
        target_classes: How many targets each class has [C]; None if there are no classes.
        rows: Inputs of the model, by name. 2,000 of them are drawn, or as many as fit into 16 MiB with their
            outputs; they stay in their order.
        outputs: What the model answered to `rows`, row by row.
        row_split: Name of the split that `rows` are from; one the model did not train on, or its outputs look surer
            than they will be.
        correct: Whether the model was right, for the calibration; needs `confidence`, the probability it gave.
        confidence: See `correct`.
        seed: Of the drawn rows and of the sketches of long columns.

    Raises:
        ValueError: Lengths differ, an array is not numeric, a code or count is out of range, or only one of `correct`
            and `confidence` is given.
    """
    if (correct is None) != (confidence is None):
        raise ValueError("`correct` and `confidence` are needed together")
    named = {f"row `{name}`": array for name, array in rows.items()}
    named |= {f"output `{name}`": array for name, array in outputs.items()}
    kept = _rows_to_keep(named, seed)
    sketches, counts = {}, {}
    for name, column in numbers.items():
        with _naming(name):
            sketches[name] = QuantileSketch.from_column(column, seed=seed)
    for name, (codes, vocabulary_size) in categories.items():
        with _naming(name):
            counts[name] = CategoryCounts.from_codes(codes, vocabulary_size)
    class_counts = None if target_classes is None else np.asarray(target_classes)
    if class_counts is not None:
        if class_counts.ndim != 1 or class_counts.dtype.kind not in "iu" or (class_counts < 0).any():
            raise ValueError(f"`target_classes` must be counts [C], got `{class_counts.dtype}` {class_counts.shape}")
        class_counts = class_counts.astype(np.int64)
    return Reference(
        numbers=sketches,
        categories=counts,
        class_counts=class_counts,
        rows={name: np.array(array[kept]) for name, array in rows.items()},
        outputs={name: np.array(array[kept]) for name, array in outputs.items()},
        reliability=None if correct is None or confidence is None else reliability_curve(confidence, correct),
        row_split=row_split,
    )


@contextmanager
def _naming(column: str) -> Iterator[None]:
    """Put the name of the column in front of what is wrong with it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"column `{column}`: {error}") from error


def _rows_to_keep(arrays: Mapping[str, NDArray[Any]], seed: int) -> NDArray[np.int64]:
    for name, array in arrays.items():
        if array.ndim == 0:
            raise ValueError(f"{name} has no axis of rows")
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} must be numeric, got dtype `{array.dtype}`")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"rows and outputs differ in length: {lengths}")
    num_rows = next(iter(lengths.values()), 0)
    bytes_per_row = sum(array.dtype.itemsize * math.prod(array.shape[1:]) for array in arrays.values())
    num_kept = min(num_rows, MAX_ROWS, MAX_ROW_BYTES // max(bytes_per_row, 1))
    drawn = np.random.default_rng(seed).choice(num_rows, num_kept, replace=False, shuffle=False)
    # Sorted, so that a memory-mapped column is read from front to back.
    return np.sort(drawn.astype(np.int64))


def _pack(reference: Reference) -> dict[str, NDArray[Any]]:
    """All arrays under names of our own: those of columns may hold anything, also what a zip entry cannot."""
    sketches, counts = list(reference.numbers.values()), list(reference.categories.values())
    arrays: dict[str, NDArray[Any]] = {
        "number_sizes": np.array([len(sketch.edges) for sketch in sketches], np.int64),
        "number_counts": np.array([[getattr(s, name) for name in _COUNTS] for s in sketches], np.int64),
        "number_moments": np.array([[getattr(s, name) for name in _MOMENTS] for s in sketches], np.float64),
        "category_sizes": np.array([len(entry.counts) for entry in counts], np.int64),
        "category_counts": np.concatenate([np.zeros(0, np.int64), *(entry.counts for entry in counts)]),
    }
    for field in _EDGES:
        arrays[f"number_{field}"] = np.concatenate([np.zeros(0), *(getattr(s, field) for s in sketches)])
    if reference.class_counts is not None:
        arrays["class_counts"] = reference.class_counts
    arrays |= {f"row_{index}": array for index, array in enumerate(reference.rows.values())}
    arrays |= {f"output_{index}": array for index, array in enumerate(reference.outputs.values())}
    # One byte order and one layout, so that equal values are equal bytes.
    return {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}


def _unpack(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Reference:
    fields = [_split(arrays[f"number_{field}"], arrays["number_sizes"]) for field in _EDGES]
    numbers = {}
    for name, edges, below, up_to, counts, moments in zip(
        facts["numbers"], *fields, arrays["number_counts"], arrays["number_moments"], strict=True
    ):
        values: dict[str, Any] = dict(zip(_COUNTS, counts.tolist(), strict=True))
        values |= zip(_MOMENTS, moments.tolist(), strict=True)
        numbers[name] = QuantileSketch(edges=edges, below=below, up_to=up_to, **values)
    counts_of = _split(arrays["category_counts"], arrays["category_sizes"])
    return Reference(
        numbers=numbers,
        categories={name: CategoryCounts(counts) for name, counts in zip(facts["categories"], counts_of, strict=True)},
        class_counts=arrays.get("class_counts"),
        rows={name: arrays[f"row_{index}"] for index, name in enumerate(facts["rows"])},
        outputs={name: arrays[f"output_{index}"] for index, name in enumerate(facts["outputs"])},
        reliability=facts["reliability"],
        row_split=facts["row_split"],
    )


def _split(array: NDArray[Any], sizes: NDArray[np.int64]) -> list[NDArray[Any]]:
    """The inverse of concatenating arrays of these sizes."""
    if len(array) != sizes.sum():
        raise ValueError(f"{len(array)} values where {sizes.sum()} are announced")
    return np.split(array, np.cumsum(sizes)[:-1]) if len(sizes) else []


def _digest(arrays_bytes: bytes, facts: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(arrays_bytes)
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()
