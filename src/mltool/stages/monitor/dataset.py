"""The rows of a dataset artifact as a window: what `mltool data add` made of a source that came later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import MANIFEST, ArtifactKind
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import InputError
from mltool.datasets.dataset import Dataset
from mltool.datasets.schema import UNKNOWN_CATEGORY, Column, Schema, TensorSpec
from mltool.datasets.source import SPLITS

# Axes: N rows

MAX_ROWS = 100_000
"""Rows that are read, evenly spaced, of a dataset that has more."""


def find_dataset(current: str, store: Store) -> Artifact | None:
    """The dataset that is meant, or None for what is a file, a folder of pictures, or nothing at all.

    Raises:
        ArtifactError: It is damaged, or another kind of artifact.
    """
    is_artifact = (Path(current) / MANIFEST).is_file()
    is_name = current.partition("@")[0] in store.refs.names(ArtifactKind.dataset) and not Path(current).exists()
    return store.find(current, ArtifactKind.dataset) if is_artifact or is_name else None


def rows_of(artifact: Artifact, schema: Schema) -> dict[str, np.ndarray]:
    """All rows of a dataset, whatever their split, as the inputs of a model with `schema`.

    Raises:
        InputError: The dataset does not have what the model takes.
    """
    dataset = Dataset(artifact)
    parts = [dataset.split(split) for split in SPLITS]
    num_rows = sum(len(part) for part in parts)
    if num_rows > MAX_ROWS:
        events.info(f"of the {num_rows:,} rows of `{artifact.label}`, {MAX_ROWS:,} evenly spaced ones are read")
    step = max(1.0, num_rows / MAX_ROWS)
    taken = [part.take(np.arange(0, len(part), step).astype(np.int64))[0] for part in parts]
    found = {spec.name: np.concatenate([part[spec.name] for part in taken]) for spec in dataset.schema.inputs}
    return {
        spec.name: _input(spec, place, found, dataset.schema, schema, artifact.label)
        for place, spec in enumerate(schema.inputs)
    }


def _input(
    spec: TensorSpec, place: int, found: Mapping[str, np.ndarray], have: Schema, want: Schema, label: str
) -> np.ndarray:
    num_rows = len(next(iter(found.values())))
    if spec.name == "numbers" and want.columns_of("number"):
        numbers = np.full((num_rows, *spec.shape), np.nan, np.float32)
        for at, wanted in enumerate(want.columns_of("number")):
            _copy(numbers[:, at], wanted, have.columns_of("number"), found.get("numbers"), label)
        return numbers
    if spec.name == "categories" and want.columns_of("category"):
        codes = np.full((num_rows, *spec.shape), UNKNOWN_CATEGORY, np.int64)
        for at, wanted in enumerate(want.columns_of("category")):
            _copy(codes[:, at], wanted, have.columns_of("category"), found.get("categories"), label)
        return codes
    # A network of somebody else calls its inputs as it likes, in the order of the data's.
    array = list(found.values())[place] if place < len(found) else np.empty(0)
    if array.shape[1:] != spec.shape or str(array.dtype) != spec.dtype:
        raise InputError(
            f"the dataset `{label}` holds {array.dtype} {list(array.shape[1:])} where the model takes `{spec.name}`, "
            f"{spec.dtype} {list(spec.shape)}",
            hint="decode the new data as the old was, with the same `data.` keys",
        )
    return array


def _copy(into_N: np.ndarray, wanted: Column, have: Sequence[Column], array: np.ndarray | None, label: str) -> None:
    """Fill in a column by its name; codes are those of the model's vocabulary."""
    at = next((at for at, column in enumerate(have) if column.name == wanted.name), None)
    if at is None or array is None:
        events.warning(f"`{label}` has no {wanted.kind} column `{wanted.name}`: treated as missing in every row")
        return
    if wanted.kind == "number":
        into_N[:] = array[:, at]
        return
    codes = {value: code for code, value in enumerate(wanted.vocabulary, UNKNOWN_CATEGORY + 1)}
    code_of = np.array([UNKNOWN_CATEGORY, *(codes.get(value, UNKNOWN_CATEGORY) for value in have[at].vocabulary)])
    into_N[:] = code_of[array[:, at]]
