"""Records to arrays and back: the one place that knows how, for training, predicting, serving and monitoring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.core.errors import InputError
from mltool.datasets.array_checks import cast, check_array
from mltool.datasets.cells import (
    FLOAT32_MAX,
    MISSING_TEXT,
    category_key,
    category_text,
    did_you_mean,
    parse_number,
    shorten,
)
from mltool.datasets.pictures import as_pixels
from mltool.datasets.schema import UNKNOWN_CATEGORY, Schema, TensorSpec

# Axes: N records, F number columns, K category columns, C classes, D distinct values

Array = npt.NDArray[Any]
_PLAIN_TYPES = {str, int, float, type(None)}


class RecordError(InputError):
    """One record does not fit; `record` counts from 0, so that a reader of files can name the line instead."""

    def __init__(self, record: int, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"record {record + 1}: {problem}", hint=hint)
        self.record = record
        self.problem = problem


class Encoder:
    """Turns raw records into the arrays of `schema.inputs`, and the arrays of a model's outputs into answers.

    Fields named in `schema.extra["left_out"]`, and the target, may be present and are ignored, so that a file like the
    one trained on can be predicted.
    """

    def __init__(self, schema: Schema, on_unseen: Callable[[str, str], None] | None = None) -> None:
        """Prepare the vocabularies.

        Args:
            on_unseen: Called with the field and the value of a category that the training split did not show.
        """
        self.schema, self._on_unseen = schema, on_unseen
        self._numbers = [column.name for column in schema.columns_of("number")]
        self._categories = {
            column.name: _lookup(column.vocabulary, first_code=UNKNOWN_CATEGORY + 1)
            for column in schema.columns_of("category")
        }
        self._pictures = [column.name for column in schema.columns_of("image")]
        tensors = {column.name for column in schema.columns_of("tensor")}
        self._tensors = [spec for spec in schema.inputs if spec.name in tensors]
        self._classes = _lookup(schema.target.classes, first_code=0)
        self._fields = frozenset(column.name for column in schema.columns)
        self._accepted = self._fields | {schema.target.name, *schema.extra.get("left_out", ())}

    def encode(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
        """The arrays of some JSON-like records; a field that is not there is missing.

        Raises:
            InputError: Names the record, counted from 1, the field and the value.
        """
        for index, record in enumerate(records):
            if not isinstance(record, Mapping):
                raise RecordError(index, f"`{shorten(record)}` is not an object with fields")
            if not record.keys() <= self._accepted:
                self._refuse_unknown(record.keys() - self._accepted, index)

        arrays: dict[str, Array] = {}
        if self._numbers:
            numbers_NF = [
                [_number(record.get(name), index, name) for name in self._numbers]
                for index, record in enumerate(records)
            ]
            arrays["numbers"] = np.array(numbers_NF, np.float32).reshape(len(records), len(self._numbers))
        if self._categories:
            codes_NK = [
                [self._category(record.get(name), lookup, index, name) for name, lookup in self._categories.items()]
                for index, record in enumerate(records)
            ]
            arrays["categories"] = np.array(codes_NK, np.int64).reshape(len(records), len(self._categories))
        for name in self._pictures:
            arrays["image"] = self._stack_pictures([record.get(name) for record in records], name)
        for spec in self._tensors:
            arrays[spec.name] = _stack(
                [_tensor(record.get(spec.name), spec, index) for index, record in enumerate(records)],
                spec.shape,
                spec.dtype,
            )
        return self._in_order(arrays)

    def encode_columns(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """The same as `encode`, for whole columns: arrays of numbers, or of objects, whose axis 0 is the record.

        Raises:
            InputError: As in `encode`, or the columns differ in length.
        """
        if not columns.keys() <= self._accepted:
            self._refuse_unknown(columns.keys() - self._accepted, None)
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            raise InputError(f"the columns hold {sorted(lengths)} rows, but one length is needed")
        (num_rows,) = lengths
        absent = np.full(num_rows, None, object)

        arrays: dict[str, Array] = {}
        if self._numbers:
            arrays["numbers"] = np.empty((num_rows, len(self._numbers)), np.float32)
            for f, name in enumerate(self._numbers):
                arrays["numbers"][:, f] = _number_column(columns.get(name, absent), name)
        if self._categories:
            arrays["categories"] = np.empty((num_rows, len(self._categories)), np.int64)
            for k, (name, lookup) in enumerate(self._categories.items()):
                arrays["categories"][:, k] = _each_distinct(
                    columns.get(name, absent),
                    lambda value, index: self._category(value, lookup, index, name),  # noqa: B023 - called at once
                    np.int64,
                )
        for name in self._pictures:
            arrays["image"] = self._stack_pictures(columns.get(name, absent), name)
        for spec in self._tensors:
            column = columns.get(spec.name, absent)
            if column.dtype != object and column.shape[1:] == spec.shape:
                arrays[spec.name] = check_array(column, spec)
            else:
                rows = [_tensor(value, spec, index) for index, value in enumerate(column)]
                arrays[spec.name] = _stack(rows, spec.shape, spec.dtype)
        return self._in_order(arrays)

    def encode_target(self, values: Sequence[Any] | Array) -> Array:
        """Class codes int64 [N], or float32 [N]; the arrays of a tensor target stay as they are.

        Raises:
            InputError: A class is unknown, or a target is missing or not a number.
        """
        target = self.schema.target
        if target.kind == "tensor":
            return _dense(values, target.name)
        column = values if isinstance(values, np.ndarray) else _object_array(values)
        if target.kind == "number":
            numbers_N = _number_column(column, target.name)
            missing = np.flatnonzero(np.isnan(numbers_N))
            if missing.size:
                raise RecordError(int(missing[0]), f"the target `{target.name}` is missing")
            return numbers_N.astype(np.float32)
        codes_N = _each_distinct(
            column, lambda value, index: _code(value, self._classes, index, target.name, unknown=-1), np.int64
        )
        unknown = np.flatnonzero(codes_N < 0)
        if unknown.size:
            value = column[unknown[0]]
            name = category_text(value)
            if name is None:
                raise RecordError(int(unknown[0]), f"the target `{target.name}` is missing")
            hint = did_you_mean(name, target.classes, "classes")
            raise RecordError(int(unknown[0]), f"`{shorten(name)}` is not a class of `{target.name}`", hint=hint)
        return codes_N

    def decode(self, outputs: Mapping[str, Array]) -> list[dict[str, Any]]:
        """One JSON-like answer a row: `label`, `confidence` and `probabilities`; or `prediction`; or the outputs.

        Raises:
            InputError: The outputs do not fit the target.
        """
        target = self.schema.target
        if target.kind == "class":
            probabilities_NC = _output(outputs, "probabilities")
            if probabilities_NC.ndim != 2 or (target.classes and probabilities_NC.shape[1] != len(target.classes)):
                raise InputError(
                    f"the model answers `probabilities` of shape {list(probabilities_NC.shape)}, "
                    f"but `{target.name}` has {len(target.classes)} classes"
                )
            classes = target.classes or tuple(map(str, range(probabilities_NC.shape[1])))
            best_N = probabilities_NC.argmax(axis=1).tolist()
            return [
                {"label": classes[best], "confidence": row[best], "probabilities": dict(zip(classes, row, strict=True))}
                for best, row in zip(best_N, probabilities_NC.tolist(), strict=True)
            ]
        if target.kind == "number":
            prediction = _output(outputs, "prediction")
            if prediction.ndim == 2 and prediction.shape[1] == 1:
                prediction = prediction[:, 0]
            return [{"prediction": value} for value in prediction.tolist()]
        lists = {name: array.tolist() for name, array in outputs.items()}
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]

    def _category(self, value: Any, lookup: Mapping[str, int], index: int, name: str) -> int:
        code = _code(value, lookup, index, name)
        if code == UNKNOWN_CATEGORY and self._on_unseen is not None and (text := category_text(value)) is not None:
            self._on_unseen(name, text)
        return code

    def _stack_pictures(self, values: Sequence[Any] | Array, name: str) -> Array:
        image = self.schema.image
        if image is None:
            raise InputError(f"`{name}` is a picture, but the schema does not say its size")
        pictures = []
        for index, value in enumerate(values):
            try:
                pictures.append(as_pixels(value, image))
            except ValueError as error:
                raise RecordError(index, f"the picture in `{name}` {error}") from error
        return _stack(pictures, (image.channels, image.height, image.width), "uint8")

    def _in_order(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {spec.name: arrays[spec.name] for spec in self.schema.inputs}

    def _refuse_unknown(self, names: set[Any], index: int | None) -> None:
        name = sorted(map(str, names))[0]
        hint = did_you_mean(name, sorted(self._fields), "fields")
        if index is None:
            raise InputError(f"unknown field `{shorten(name)}`", hint=hint)
        raise RecordError(index, f"unknown field `{shorten(name)}`", hint=hint)


def _lookup(texts: Sequence[str], *, first_code: int) -> dict[str, int]:
    return {category_key(text): code for code, text in enumerate(texts, start=first_code)}


def _number(value: Any, index: int, name: str) -> float:
    try:
        number = parse_number(value)
    except ValueError:
        raise RecordError(index, f"`{name}` is `{shorten(value)}`, but a number is needed") from None
    if abs(number) > FLOAT32_MAX:
        raise RecordError(index, f"`{name}` is `{shorten(value)}`, which is infinite or too large")
    return number


def _code(value: Any, lookup: Mapping[str, int], index: int, name: str, unknown: int = UNKNOWN_CATEGORY) -> int:
    try:
        text = category_text(value)
    except ValueError:
        raise RecordError(index, f"`{name}` is `{shorten(value)}`, but text or a number is needed") from None
    return unknown if text is None else lookup.get(category_key(text), unknown)


def _number_column(column: Array, name: str) -> Array:
    """float64 [N]; the caller narrows it."""
    numbers_N = _fast_numbers(column)
    if numbers_N is None or (np.abs(numbers_N) > FLOAT32_MAX).any():
        numbers_N = _each_distinct(column, lambda value, index: _number(value, index, name), np.float64)
    return numbers_N


def _fast_numbers(column: Array) -> Array | None:
    """The numbers of a column without odd cells, or None."""
    if column.ndim != 1:
        return None
    if column.dtype.kind in "iuf":
        return column.astype(np.float64)
    values = column.tolist()
    if not set(map(type, values)) <= _PLAIN_TYPES:
        return None
    texts = "".join([value for value in values if type(value) is str])
    if "_" in texts or not texts.isascii():
        return None
    if not MISSING_TEXT.isdisjoint(values):
        values = [None if value in MISSING_TEXT else value for value in values]
    try:
        return np.array(values, object).astype(np.float64)
    except (ValueError, OverflowError):
        return None


def _each_distinct(column: Array, convert: Callable[[Any, int], float], dtype: npt.DTypeLike) -> Array:
    """`convert(value, index)` for each distinct value of a column."""
    if column.ndim == 1 and column.dtype.kind in "biuf":
        distinct, first, inverse = np.unique(column, return_index=True, return_inverse=True)
        converted_D = np.empty(len(distinct), dtype)
        for at in np.argsort(first):
            converted_D[at] = convert(distinct[at], int(first[at]))
        return converted_D[inverse]
    values = list(column) if column.ndim > 1 else column.tolist()
    if not set(map(type, values)) <= _PLAIN_TYPES:  # True and 1 are one key of a dict, and a list is none
        return np.array([convert(value, index) for index, value in enumerate(values)], dtype)
    first_index = dict(zip(reversed(values), reversed(range(len(values))), strict=True))
    # in the order of the rows: the first that does not fit is the one to name
    converted = {value: convert(value, index) for value, index in sorted(first_index.items(), key=itemgetter(1))}
    return np.fromiter(map(converted.__getitem__, values), dtype, len(values))


def _tensor(value: Any, spec: TensorSpec, index: int) -> Array:
    if value is None:
        raise RecordError(index, f"`{spec.name}` is missing")
    try:
        array = np.asarray(value)
    except ValueError:
        raise RecordError(index, f"`{spec.name}` has rows of different lengths") from None
    if array.shape != spec.shape:
        raise RecordError(index, f"`{spec.name}` has the shape {list(array.shape)}, but {list(spec.shape)} is needed")
    try:
        return cast(array, spec.dtype)
    except ValueError as error:
        raise RecordError(index, f"`{spec.name}` {error}") from error


def _stack(rows: Sequence[Array], shape: tuple[int, ...], dtype: str) -> Array:
    return np.stack(rows) if rows else np.empty((0, *shape), dtype)


def _dense(values: Sequence[Any] | Array, name: str) -> Array:
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"the targets `{name}` have different shapes") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"the targets `{name}` hold {array.dtype}, but numbers are needed")
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _object_array(values: Sequence[Any]) -> Array:
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array


def _output(outputs: Mapping[str, Array], name: str) -> Array:
    if name not in outputs:
        answers = ", ".join(f"`{one}`" for one in outputs) or "nothing"
        raise InputError(f"the model answers {answers}, but `{name}` is needed")
    return np.asarray(outputs[name])
