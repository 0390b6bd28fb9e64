"""The bytes of a table file to Arrow columns, with the line of every row and the rows that cannot be rows."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from codecs import BOM_UTF8
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from mltool.core.errors import DataError
from mltool.datasets.cells import category_text, json_lines, parse_number, shorten, sniff_delimiter
from mltool.datasets.reading import content_of

# Axes: N rows of the table, R rows of the file

DELIMITED = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet",)
TABLE_SUFFIXES = (*DELIMITED, *JSON_LINES, *PARQUET, *(f"{suffix}.gz" for suffix in DELIMITED + JSON_LINES))

TAB = "\t"
Lines = npt.NDArray[np.int64]

_HEADER_BYTES = 8 << 20
_MAX_ROW_BYTES = 64 << 20


class _InvalidRow(NamedTuple):
    number: int
    why: str
    text: str


@dataclass(slots=True)
class TableFile:
    """One file, not yet typed.

    Attributes:
        untyped: Columns of texts whose meaning is still to be found; the others have the type that the file gave them.
        lines_N: Line (or row, for Parquet) of each row, counted from 1.
        fingerprint: SHA-256 over the kind and the bytes of the file.
        damaged: Line and reason of the rows that are not in `table`.
    """

    path: Path
    table: pa.Table
    untyped: set[str]
    lines_N: Lines
    fingerprint: str
    damaged: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def load(path: Path) -> TableFile:
    """Read a `.csv`, `.tsv`, `.jsonl` or `.ndjson` (each also `.gz`) or a `.parquet`.

    Raises:
        DataError: The file is missing, empty, of another kind, or broken beyond single rows.
    """
    suffix = next((suffix for suffix in TABLE_SUFFIXES if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise DataError(
            f"`{path}` is not a table that can be read",
            hint="tables end in .csv, .tsv, .jsonl or .ndjson, each also with .gz, or in .parquet",
        )
    content = content_of(path)
    kind = suffix.removesuffix(".gz")
    # The same bytes mean other rows under another ending.
    digest = hashlib.sha256(kind.encode())
    digest.update(content)
    fingerprint = digest.hexdigest()
    if kind != suffix:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"`{path}` is not a whole gzip file: {error}") from error
    if not content.removeprefix(BOM_UTF8).strip():
        raise DataError(f"`{path}` is empty")
    if kind in PARQUET:
        return _load_parquet(path, content, fingerprint)
    _check_text(path, content)
    return (_load_delimited if kind in DELIMITED else _load_json_lines)(path, content, fingerprint)


def _check_text(path: Path, content: bytes) -> None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"`{path}` is UTF-16 text, but UTF-8 is needed", hint="save it as UTF-8")
    at = content.find(b"\0")
    reason = "a zero byte" if at >= 0 else ""
    if not reason:
        try:
            content.decode()
        except UnicodeDecodeError as error:
            at, reason = error.start, f"the byte 0x{content[error.start]:02x}, which is not UTF-8"
    if reason:
        line = content.count(b"\n", 0, at) + 1
        raise DataError(f"line {line} of `{path}` holds {reason}", hint="a table must be text, saved as UTF-8")


def check_names(path: Path, names: list[str]) -> None:
    """Refuse names that occur twice.

    Raises:
        DataError: Names them.
    """
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(
            f"`{path}` has more than one column named {', '.join(f'`{name}`' for name in twice)}",
            hint="give every column its own name",
        )


def _load_delimited(path: Path, content: bytes, fingerprint: str) -> TableFile:
    names, delimiter, num_lines, start = _header(path, content)
    check_names(path, names)
    numeric = [name for name in names if _is_number(name)]
    if 2 * len(numeric) >= len(names) and not all(name.isdigit() for name in numeric):
        raise DataError(
            f"the first line of `{path}` holds values such as `{shorten(numeric[0])}`, not the names of columns",
            hint="write the names of the columns into a first line",
        )
    places = [str(place) for place in range(len(names))]
    invalid: list[_InvalidRow] = []

    def note_invalid(row: Any) -> str:
        why = f"{row.actual_columns} cells, but the header has {row.expected_columns}"
        invalid.append(_InvalidRow(row.number, why, row.text))
        return "skip"

    body = pa.py_buffer(content).slice(start)
    table = pa.table({place: pa.array([], pa.large_string()) for place in places})
    if content[start:].strip(b"\r\n"):
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(body),
                # threads would lose the number of a row
                pyarrow.csv.ReadOptions(use_threads=False, block_size=_MAX_ROW_BYTES, column_names=places),
                pyarrow.csv.ParseOptions(
                    delimiter=delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=note_invalid,
                ),
                pyarrow.csv.ConvertOptions(
                    column_types={place: pa.large_string() for place in places}, strings_can_be_null=False
                ),
            )
        except pa.ArrowException as error:
            raise DataError(f"`{path}` cannot be read: {str(error).splitlines()[0]}") from error
    lines_N, invalid_lines = _lines(table, invalid, num_lines)
    if content.count(b'"') % 2 and "\n" in _last_row(table, lines_N, invalid, invalid_lines):
        line = max([*lines_N[-1:].tolist(), *invalid_lines])
        raise DataError(f"a quote that is opened on line {line} of `{path}` is never closed", hint="close or remove it")

    named = [place for place, name in zip(places, names, strict=True) if name]
    notes = []
    if len(named) < len(names):
        notes.append(f"left out {len(names) - len(named)} columns of `{path.name}` without a name, such as row numbers")
    if delimiter != "," and not is_tsv(path):
        notes.append(f"the cells of `{path.name}` are separated by {'tabs' if delimiter == TAB else f'`{delimiter}`'}")
    blank_N = np.ones(table.num_rows, bool)
    for column in table.columns:
        blank_N &= pc.equal(column, "").to_numpy()
    if len(names) > 1 and blank_N.any():  # lines without any cell, mostly at the end; in one column they are values
        table, lines_N = table.filter(pa.array(~blank_N)), lines_N[~blank_N]
    table = table.select(named).rename_columns([names[place] for place in map(int, named)])
    damaged = [(line, row.why) for line, row in zip(invalid_lines, invalid, strict=True)]
    return TableFile(path, table, set(table.column_names), lines_N, fingerprint, damaged, notes)


def _lines(table: pa.Table, invalid: list[_InvalidRow], num_header_lines: int) -> tuple[Lines, list[int]]:
    """The first line of each row in `table`, and of each row in `invalid`: quoted cells may span lines."""
    num_rows = table.num_rows + len(invalid)
    num_breaks_R = np.zeros(num_rows, np.int64)
    at_invalid = np.array([row.number - 1 for row in invalid], np.int64)
    num_breaks_R[at_invalid] = [row.text.count("\n") for row in invalid]
    in_table_R = np.ones(num_rows, bool)
    in_table_R[at_invalid] = False
    for column in table.columns:
        num_breaks_R[in_table_R] += pc.count_substring(column, "\n").to_numpy()
    lines_R = num_header_lines + 1 + np.arange(num_rows) + np.cumsum(num_breaks_R) - num_breaks_R
    return lines_R[in_table_R], lines_R[at_invalid].tolist()


def _last_row(table: pa.Table, lines_N: Lines, invalid: list[_InvalidRow], invalid_lines: list[int]) -> str:
    if invalid and (not len(lines_N) or invalid_lines[-1] > lines_N[-1]):
        return invalid[-1].text
    return "".join(str(column[-1]) for column in table.columns) if len(lines_N) else ""


def _header(path: Path, content: bytes) -> tuple[list[str], str, int, int]:
    """Names, delimiter, how many lines they take, and where the rows begin."""
    first = len(BOM_UTF8) if content.startswith(BOM_UTF8) else 0
    text = content[first : first + _HEADER_BYTES].decode(errors="ignore")
    lines = io.StringIO(text, newline="").readlines()
    used = next((index for index, line in enumerate(lines) if line.strip()), None)
    if used is None:
        raise DataError(f"`{path}` has no line with the names of its columns")
    delimiter = TAB if is_tsv(path) else sniff_delimiter(lines[used])
    reader = csv.reader(lines[used:], delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise DataError(f"the first line of `{path}` is not a header: {error}") from error
    used += reader.line_num
    return names, delimiter, used, first + len("".join(lines[:used]).encode())


def is_tsv(path: Path) -> bool:
    return ".tsv" in (suffix.lower() for suffix in path.suffixes)


def _is_number(text: str) -> bool:
    try:
        return bool(text) and not np.isnan(parse_number(text))
    except ValueError:
        return False


def _load_parquet(path: Path, content: bytes, fingerprint: str) -> TableFile:
    try:
        table = pyarrow.parquet.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"`{path}` is not a whole Parquet file: {str(error).splitlines()[0]}") from error
    check_names(path, table.column_names)
    notes = []
    # pandas writes its row labels as a column of this name
    unnamed = [name for name in table.column_names if not name or name.startswith("__index_level_")]
    if unnamed:
        table = table.drop_columns(unnamed)
        notes.append(f"left out {len(unnamed)} columns of `{path.name}` without a name, such as row numbers")
    return TableFile(path, table, set(), np.arange(1, table.num_rows + 1), fingerprint, notes=notes)


def _load_json_lines(path: Path, content: bytes, fingerprint: str) -> TableFile:
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    damaged = []
    for line, record, why in json_lines(content.decode("utf-8-sig")):
        if record is None:
            damaged.append((line, why))
            continue
        if not record.keys() <= columns.keys():
            for name in record:
                columns.setdefault(name, [None] * len(lines))
        for name, column in columns.items():
            column.append(record.get(name))
        lines.append(line)
    arrays, untyped = {}, set()
    for name, values in columns.items():
        types = {type(value) for value in values} - {type(None)}
        if types <= {int, float}:
            arrays[name] = pa.array(np.array([parse_number(value) for value in values], np.float64), from_pandas=True)
        elif types == {bool}:
            arrays[name] = pa.array(values, pa.bool_())
        elif types == {str}:
            arrays[name] = pa.array(values, pa.large_string())
        else:
            arrays[name] = pa.array([_json_text(value) for value in values], pa.large_string())
            untyped.add(name)
    return TableFile(path, pa.table(arrays), untyped, np.array(lines, np.int64), fingerprint, damaged)


def _json_text(value: Any) -> str | None:
    try:
        return category_text(value)
    except ValueError:
        return json.dumps(value, ensure_ascii=False)
