"""Files of prepared arrays: an `.npz`, or the tensors of a `.pt` file that another reader opened."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mltool.core.errors import ConfigError, DataError
from mltool.datasets.cells import did_you_mean
from mltool.datasets.classes import class_names, in_wanted_order
from mltool.datasets.config import DataConfig, check_knobs
from mltool.datasets.npz import opened_npz
from mltool.datasets.readers.array_roles import Array, Part, find_parts, input_names, parse, show
from mltool.datasets.readers.array_source import MAX_BATCH_BYTES, ArraySource, Stored
from mltool.datasets.source import Damage

# Axes: N rows, C channels or classes, H height, W width

KNOBS = ("label", "label_kind", "ignore", "fields")
"""Of the `data` section, beside those that every source reads."""
MIN_NUMBERS = 20
"""Distinct whole numbers above which labels are numbers rather than classes, if they are also half of the rows."""


def read(config: DataConfig, path: Path) -> ArraySource:
    """Understand the arrays of an `.npz` file; pickled objects, which can run code, are not opened.

    Raises:
        ConfigError: As `understand`.
        DataError: The file is no `.npz`, is cut off, or holds objects; and as `understand`.
    """
    check_knobs(config, KNOBS, "a file of arrays")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror or error}") from error
    with stream, opened_npz(stream, f"`{path}`") as archive:
        arrays = dict(archive)
    return understand(arrays, config)


def understand(arrays: Mapping[str, Array], config: DataConfig) -> ArraySource:
    """Find inputs, labels and splits among named arrays.

    Names are read first (`train_images`, `y_test`), then shapes; `config.fields` overrides both. Inputs become
    `image` (3 or 4 axes), `numbers` (2 axes, floating-point) or `tokens` (2 axes, whole numbers); several inputs,
    which only `config.fields` can give, keep their names.

    Raises:
        ConfigError: `config.fields` does not fit the arrays.
        DataError: The arrays cannot be understood, or do not fit each other.
    """
    name = config.source
    for key in config.ignore:
        if key not in arrays:
            raise ConfigError(f"`{key}` of `data.ignore` is not in `{name}`", hint=did_you_mean(key, arrays, "arrays"))
    arrays = {key: array for key, array in arrays.items() if key not in config.ignore}
    fields = {"labels": config.label, **config.fields} if config.label else config.fields
    parts = find_parts(arrays, fields, name)
    _check_lengths(parts, arrays)
    used = [key for part in parts for key in (*part.inputs, part.labels)]
    notes = [_describe(part, arrays) for part in parts]
    inputs = _inputs(parts, arrays, notes)
    target, classes = _target(parts, arrays, config, notes)
    if unused := [key for key in arrays if key not in used]:
        notes.append(f"not used: {show(arrays, unused)}")

    damage = Damage(num_seen=sum(len(array) for array in target.parts))
    part_N, index_N = _good_rows(parts, inputs, target, damage)
    if not len(part_N):
        why = f"; the first is `{damage.found[0][0]}`: {damage.found[0][1]}" if damage.found else ""
        raise DataError(f"no row of `{name}` can be used{why}")
    source = ArraySource(
        name=name,
        inputs=inputs,
        target=target,
        classes=classes,
        part_N=part_N,
        index_N=index_N,
        labels=tuple(part.labels for part in parts),
        num_rows=len(part_N),
        stratify_N=None,
        splits={part.split: np.flatnonzero(part_N == i) for i, part in enumerate(parts) if part.split},
        notes=notes,
        damage=damage,
        fingerprint=_fingerprint(arrays),
    )
    if classes:
        source.stratify_N = source.codes(np.arange(len(part_N)), classes)
    return source


def _describe(part: Part, arrays: Mapping[str, Array]) -> str:
    what = {"": "all rows", "train": "training", "validation": "validation", "test": "test"}[part.split]
    return f"{what}: inputs {show(arrays, part.inputs)}, labels {show(arrays, (part.labels,))}"


def _check_lengths(parts: list[Part], arrays: Mapping[str, Array]) -> None:
    for part in parts:
        for key in (*part.inputs, part.labels):
            if len(arrays[key]) != len(arrays[part.labels]):
                raise DataError(
                    f"`{key}` has {len(arrays[key])} rows, but `{part.labels}` has {len(arrays[part.labels])}",
                    hint="name arrays that belong together, as `data.fields.inputs=NAME data.fields.labels=NAME`",
                )
        for mine, first in zip((*part.inputs, part.labels), (*parts[0].inputs, parts[0].labels), strict=False):
            same_type = arrays[mine].dtype.kind == arrays[first].dtype.kind
            if arrays[mine].shape[1:] != arrays[first].shape[1:] or (mine in part.inputs and not same_type):
                raise DataError(f"splits do not fit each other: {show(arrays, (first, mine))}")
        if len(part.inputs) != len(parts[0].inputs):
            raise DataError(f"splits have {len(parts[0].inputs)} and {len(part.inputs)} inputs")


def _inputs(parts: list[Part], arrays: Mapping[str, Array], notes: list[str]) -> tuple[Stored, ...]:
    groups = [tuple(arrays[part.inputs[i]] for part in parts) for i in range(len(parts[0].inputs))]
    names = input_names(parts[0].inputs)
    inputs = [_input(name, group, notes) for name, group in zip(names, groups, strict=True)]
    if len(inputs) == 1:
        return tuple(inputs)
    return tuple(replace(array, name=name, kind="tensor") for array, name in zip(inputs, names, strict=True))


def _input(stem: str, group: tuple[Array, ...], notes: list[str]) -> Stored:
    kind, num_axes = group[0].dtype.kind, group[0].ndim
    if kind not in "fbiu":
        raise DataError(f"`{stem}` holds {group[0].dtype}, but inputs are numbers")
    if num_axes == 1:
        group = tuple(array[:, None] for array in group)
        num_axes = 2
    name = {2: "numbers", 3: "image", 4: "image"}.get(num_axes, stem)
    if kind in "fb":
        return Stored(name, "tensor", np.dtype(np.float32), group)
    if num_axes == 2:
        # uint8 rows are flattened pictures, and no token is negative; other whole numbers are tokens.
        if group[0].dtype == np.uint8 or any(array.size and array.min() < 0 for array in group):
            notes.append(f"the whole numbers of `{stem}` are read as numbers, not as tokens")
            return Stored(name, "tensor", np.dtype(np.float32), group)
        return Stored("tokens", "tensor", np.dtype(np.int64), group)
    if group[0].dtype == np.uint8 and num_axes in (3, 4):
        return _pictures(group, notes)
    if all(array.size and array.min() >= 0 and array.max() <= 255 for array in group):
        notes.append(f"`{stem}` looks like pixels; save it as uint8 to have it read as pictures")
    return Stored(stem, "tensor", np.dtype(np.int64), group)


def _pictures(group: tuple[Array, ...], notes: list[str]) -> Stored:
    shape = group[0].shape
    if len(shape) == 3:
        notes.append(f"pictures {list(shape[1:])} are grey")
        group = tuple(array[:, None] for array in group)
    elif shape[1] not in (1, 3) and shape[3] in (1, 3):
        notes.append(f"pictures {list(shape[1:])} are height x width x channels; channels become the first axis")
        group = tuple(array.transpose(0, 3, 1, 2) for array in group)
    elif shape[1] not in (1, 3):
        notes.append(f"pictures {list(shape[1:])} have neither 1 nor 3 channels; they are taken as plain tensors")
        return Stored("image", "tensor", np.dtype(np.uint8), group)
    return Stored("image", "image", np.dtype(np.uint8), group)


def _target(
    parts: list[Part], arrays: Mapping[str, Array], config: DataConfig, notes: list[str]
) -> tuple[Stored, tuple[str, ...]]:
    name = parse(parts[0].labels)[2]
    group = tuple(arrays[part.labels] for part in parts)
    kinds = {array.dtype.kind for array in group}
    if not kinds <= set("fbiu") and not kinds <= set("US"):
        raise DataError(f"labels {show(arrays, [part.labels for part in parts])} are neither numbers nor names")
    if group[0].ndim == 2 and group[0].shape[1] == 1:
        group = tuple(array[:, 0] for array in group)
    if kinds <= set("fbiu") and group[0].ndim == 2 and all(map(is_one_hot, group)):
        classes = tuple(str(code) for code in range(group[0].shape[1]))
        notes.append(f"the labels are one-hot: {len(classes)} classes")
        group = tuple(array.argmax(axis=1) for array in group)
        return Stored(name, "tensor", np.dtype(np.int64), group), classes
    dtype = np.dtype(np.float32 if "f" in kinds else np.int64)
    if group[0].ndim > 1:
        if not kinds <= set("fbiu"):
            raise DataError(f"labels {show(arrays, [part.labels for part in parts])} have more than one name a row")
        notes.append(f"the target is a tensor {list(group[0].shape[1:])} a row")
        return Stored(name, "tensor", dtype, group), ()
    if kinds <= set("US"):
        group = tuple(map(_as_text, group))
    values = np.unique(np.concatenate(group))
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
        is_class = bool((values == np.round(values)).all())
    else:
        is_class = True
    num_rows = sum(map(len, group))
    if config.label_kind != "auto" and not kinds <= set("US"):
        is_class = config.label_kind == "class"
    elif is_class and values.dtype.kind in "fiu" and len(values) > max(MIN_NUMBERS, num_rows / 2):
        notes.append(f"the labels have {len(values)} different values: they are numbers, not classes")
        is_class = False
    if not is_class:
        notes.append(f"the target `{name}` is a number")
        return Stored(name, "tensor", np.dtype(np.float32), group), ()
    classes = in_wanted_order(class_names(values.tolist()), config.classes)
    shown = ", ".join(f"`{value}`" for value in classes[:10]) + (", ..." if len(classes) > 10 else "")
    notes.append(f"the target `{name}` has {len(classes)} classes: {shown}")
    # The widest type of the parts, so that no class name is cut and no whole number loses digits.
    return Stored(name, "tensor", np.result_type(*group), group), classes


def _as_text(array: Array) -> Array:
    if array.dtype.kind == "U":
        return array
    return np.char.decode(array.astype(np.bytes_), "utf-8", "replace")


def is_one_hot(array: Array) -> bool:
    return bool(array.shape[1] > 1 and ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def _good_rows(
    parts: list[Part], inputs: tuple[Stored, ...], target: Stored, damage: Damage
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The part and the place of every row without damage; the others are counted and listed."""
    part_N, index_N = [], []
    for number, part in enumerate(parts):
        reasons: dict[int, str] = {}
        for array, key in (*zip(inputs, part.inputs, strict=True), (target, part.labels)):
            for index, why in _unusable(array.parts[number]):
                reasons.setdefault(index, f"`{key}` has {why}")
        for index in sorted(reasons):
            damage.add(f"{part.inputs[0]}[{index}]", reasons[index])
        good = np.setdiff1d(np.arange(len(target.parts[number])), np.array(list(reasons), dtype=np.int64))
        part_N.append(np.full(len(good), number, dtype=np.int64))
        index_N.append(good.astype(np.int64))
    return np.concatenate(part_N), np.concatenate(index_N)


def _unusable(array: Array) -> Iterator[tuple[int, str]]:
    """Rows with a value that is no number, or infinite as float32."""
    if array.dtype.kind != "f":
        return
    step = max(1, MAX_BATCH_BYTES // max(1, array.itemsize * math.prod(array.shape[1:])))
    for start in range(0, len(array), step):
        with np.errstate(over="ignore"):
            chunk = array[start : start + step].astype(np.float32)
        flat = chunk.reshape(len(chunk), math.prod(chunk.shape[1:]))
        for index in np.flatnonzero(~np.isfinite(flat).all(axis=1)).tolist():
            is_infinite = np.isinf(flat[index]).any()
            yield start + index, "an infinite value" if is_infinite else "a value that is not a number"


def _fingerprint(arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{list(array.shape)}\0".encode())
        if array.nbytes:
            digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
