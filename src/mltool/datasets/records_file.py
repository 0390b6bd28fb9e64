"""What `mltool predict input=FILE` reads: records, pictures or arrays in one file, as the inputs of a model."""

from __future__ import annotations

import csv
import io
import json
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.core import events
from mltool.core.errors import DataError, InputError
from mltool.datasets.array_checks import checked_arrays
from mltool.datasets.cells import did_you_mean, json_lines, shorten, sniff_delimiter
from mltool.datasets.encoder import Encoder, RecordError
from mltool.datasets.npz import opened_npz
from mltool.datasets.picture_folder import read_folder
from mltool.datasets.reading import content_of
from mltool.datasets.schema import Schema

Array = npt.NDArray[Any]

STDIN = "-"
_WRAPPERS = ("records", "instances")
_MAGIC = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Arrays ready for a runner, by input name; axis 0 of each is the row, and there is at least one."""

    arrays: Mapping[str, Array]
    num_rows: int


def read_records(path: str, schema: Schema) -> Inputs:
    """Read a file of JSON, JSON Lines, CSV, a picture, `.npy` or `.npz`, or a folder of pictures.

    `-` is standard input, whose form is guessed.

    Raises:
        DataError: The file is missing, empty, broken or of another kind.
        InputError: What it holds does not fit `schema`; names the file and the line or record.
    """
    if path != STDIN and "\0" not in path and Path(path).is_dir():
        arrays = read_folder(Path(path), schema)
        return Inputs(arrays, len(next(iter(arrays.values()))))
    if path == STDIN:
        data = sys.stdin.buffer.read()
        name = "standard input"
    else:
        name = f"`{path}`"
        data = content_of(path)
    return decode_records(data, None if path == STDIN else Path(path).suffix.lower().removeprefix("."), name, schema)


def decode_records(data: bytes, form: str | None, name: str, schema: Schema) -> Inputs:
    """The same for what has been read already.

    Args:
        form: The ending that a file of this kind has, without the dot; None guesses.
        name: How messages call the data.

    Raises:
        DataError: As in `read_records`.
        InputError: As in `read_records`.
    """
    if not data.removeprefix(BOM_UTF8).strip():
        raise DataError(f"{name} is empty")
    form = _sniff(data) if form is None else form
    readers: dict[str, Callable[[bytes, str, Schema], Inputs]] = {
        "json": _read_json,
        "jsonl": _read_json_lines,
        "ndjson": _read_json_lines,
        "csv": _read_csv,
        "tsv": partial(_read_csv, delimiter="\t"),
        "npy": _read_npy,
        "npz": _read_npz,
    }
    if form not in readers:
        from mltool.datasets.readers.pixels import EXTENSIONS  # Pillow: only where there may be a picture

        if f".{form}" in EXTENSIONS:
            return _read_picture(data, name, schema)
        raise DataError(
            f"{name} is of a kind that cannot be predicted",
            hint="inputs end in .json, .jsonl, .ndjson, .csv, .tsv, .npy, .npz, .png, .jpg or are other pictures",
        )
    return readers[form](data, name, schema)


def _sniff(data: bytes) -> str:
    for magic, form in _MAGIC.items():
        if data.startswith(magic):
            return form
    # These two begin as words may, so that more of the header must fit.
    if data.startswith(b"BM") and int.from_bytes(data[2:6], "little") == len(data):
        return "bmp"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    text = data.removeprefix(BOM_UTF8).lstrip()
    if not text.startswith((b"{", b"[")):
        return "csv"
    first_line, _, rest = text.partition(b"\n")
    try:
        # one whole object on the first line, and another after it
        is_lines = isinstance(json.loads(first_line), dict) and bool(rest.strip())
    except (ValueError, RecursionError):
        is_lines = False
    return "jsonl" if is_lines else "json"


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} of {name} is not UTF-8 text", hint="save it as UTF-8") from None


def _read_json(data: bytes, name: str, schema: Schema) -> Inputs:
    try:
        value = json.loads(_text(data, name))
    except json.JSONDecodeError as error:
        raise DataError(f"line {error.lineno} of {name} is not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not JSON that can be read: {error}") from error
    if isinstance(value, dict):
        fields = {column.name for column in schema.columns}
        wrapper = next((key for key in _WRAPPERS if isinstance(value.get(key), list) and key not in fields), None)
        value = value[wrapper] if wrapper else [value]
    if not isinstance(value, list):
        raise DataError(f"{name} holds neither an object with fields nor a list of them")
    return _encode_records(value, [f"record {number}" for number in range(1, len(value) + 1)], name, schema)


def _read_json_lines(data: bytes, name: str, schema: Schema) -> Inputs:
    records, places = [], []
    for line, record, why in json_lines(_text(data, name)):
        if record is None:
            raise DataError(f"line {line} of {name} cannot be read: {why}")
        records.append(record)
        places.append(f"line {line}")
    return _encode_records(records, places, name, schema)


def encode_objects(records: Sequence[Any], schema: Schema, name: str = "the records") -> dict[str, Array]:
    """The arrays of records, with a word on what they lack and on categories that training did not show.

    Raises:
        InputError: A record does not fit `schema`.
    """
    unseen = _Unseen()
    arrays = Encoder(schema, unseen).encode(records)
    _warn_of_absent({field for record in records for field in record}, name, schema)
    unseen.warn(name)
    return arrays


class _Unseen:
    """The categories that the training split did not show, by field."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, None]] = {}

    def __call__(self, field: str, value: str) -> None:
        self._found.setdefault(field, {})[value] = None

    def warn(self, name: str) -> None:
        for field, values in self._found.items():
            shown = ", ".join(f"`{shorten(value)}`" for value in list(values)[:5]) + (", …" if len(values) > 5 else "")
            events.warning(f"`{field}` of {name} is {shown}, which training did not show: treated as unknown")


def _encode_records(records: list[Any], places: Sequence[str], name: str, schema: Schema) -> Inputs:
    _check_rows(len(records), name)
    return Inputs(_located(lambda: encode_objects(records, schema, name), places, name), len(records))


def _read_csv(data: bytes, name: str, schema: Schema, delimiter: str = "") -> Inputs:
    text = _text(data, name)
    if not delimiter:
        delimiter = sniff_delimiter(next((line for line in text.split("\n") if line.strip()), ""))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    rows: list[list[str]] = []
    places = []
    end = 0
    try:
        for cells in reader:
            line, end = end + 1, reader.line_num
            if not cells:  # a blank line
                continue
            if not names:
                names = [cell.strip() for cell in cells]
            elif len(cells) != len(names):
                raise DataError(f"line {line} of {name} has {len(cells)} cells, but the header has {len(names)}")
            else:
                rows.append(cells)
                places.append(f"line {line}")
    except csv.Error as error:
        raise DataError(f"line {end + 1} of {name} is not CSV: {error}") from error
    twice = sorted({one for one in names if one and names.count(one) > 1})
    if twice:
        raise DataError(f"{name} has more than one column named `{twice[0]}`")
    _check_rows(len(rows), name)
    columns = {}
    for column_name, values in zip(names, zip(*rows, strict=True), strict=True):
        if column_name:  # pandas writes the numbers of the rows into a column without a name
            columns[column_name] = np.array(values, object)
    if not columns:
        raise DataError(f"{name} has no header with the names of its columns")
    unseen = _Unseen()
    arrays = _located(lambda: Encoder(schema, unseen).encode_columns(columns), places, name)
    _warn_of_absent(set(columns), name, schema)
    unseen.warn(name)
    return Inputs(arrays, len(rows))


def _read_picture(data: bytes, name: str, schema: Schema) -> Inputs:
    pictures = schema.columns_of("image")
    if not pictures:
        fields = ", ".join(f"`{column.name}`" for column in schema.columns[:10])
        raise InputError(f"{name} is a picture, but the model takes {fields}")
    return _encode_records([{pictures[0].name: data}], [""], name, schema)


def _read_npy(data: bytes, name: str, schema: Schema) -> Inputs:
    if len(schema.inputs) != 1:
        inputs = ", ".join(f"`{spec.name}`" for spec in schema.inputs)
        raise InputError(f"{name} holds one array, but the model takes {inputs}", hint="use an .npz with these names")
    (spec,) = schema.inputs
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, OverflowError) as error:
        raise DataError(f"{name} is not a whole .npy file: {error}") from error
    return _check_arrays({spec.name: array}, name, schema)


def _read_npz(data: bytes, name: str, schema: Schema) -> Inputs:
    wanted = [spec.name for spec in schema.inputs]
    with opened_npz(io.BytesIO(data), name) as archive:
        _check_names([key for key in archive if key != schema.target.name], wanted, name)
        found = {key: archive[key] for key in wanted}
    return _check_arrays(found, name, schema)


def _check_names(found: Sequence[str], wanted: Sequence[str], name: str) -> None:
    for key in found:
        if key not in wanted:
            raise InputError(f"unknown array `{key}` in {name}", hint=did_you_mean(key, wanted, "inputs"))
    for key in wanted:
        if key not in found:
            raise InputError(f"{name} has no array `{key}`, which the model takes")


def _check_arrays(found: Mapping[str, Array], name: str, schema: Schema) -> Inputs:
    is_one = all(found[spec.name].shape == spec.shape for spec in schema.inputs)
    whole = {key: array[np.newaxis] if is_one else array for key, array in found.items()}
    try:
        arrays = checked_arrays(whole, schema)
    except InputError as error:
        raise InputError(f"{name}: {error.message}", hint=error.hint) from error
    num_rows = len(next(iter(arrays.values())))
    _check_rows(num_rows, name)
    return Inputs(arrays, num_rows)


def _check_rows(num_rows: int, name: str) -> None:
    if num_rows == 0:
        raise DataError(f"{name} holds no rows")


def _located(encode: Callable[[], dict[str, Array]], places: Sequence[str], name: str) -> dict[str, Array]:
    """Name the place in the file where a record does not fit."""
    try:
        return encode()
    except RecordError as error:
        place = places[error.record]
        raise InputError(f"{place + ' of ' if place else ''}{name}: {error.problem}", hint=error.hint) from error
    except InputError as error:
        raise InputError(f"{name}: {error.message}", hint=error.hint) from error


def _warn_of_absent(present: set[str], name: str, schema: Schema) -> None:
    absent = [column.name for column in schema.columns if column.name not in present]
    if absent:
        shown = ", ".join(f"`{one}`" for one in absent[:5]) + (", …" if len(absent) > 5 else "")
        events.warning(f"{name} has no field {shown}: treated as missing in every row")
