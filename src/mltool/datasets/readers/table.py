"""A table in a CSV, Parquet or JSON Lines file: which columns it has, and what they mean."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mltool.core.errors import ConfigError, DataError
from mltool.datasets.cells import did_you_mean, natural_key
from mltool.datasets.classes import in_wanted_order
from mltool.datasets.config import DataConfig, check_knobs
from mltool.datasets.encoder import Encoder
from mltool.datasets.readers.table_columns import NUMBER_SHARE, NumberColumn, TextColumn, type_column
from mltool.datasets.readers.table_files import TableFile, load
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.datasets.source import SPLIT_WORDS, Batch, Damage, Rows

# Axes: N rows

KNOBS = ("test", "label", "label_kind", "ignore", "categories")
"""Of the `data` section, beside those that every source reads."""
LABEL_NAMES = ("label", "target", "class", "y")
SPLIT_COLUMN = "split"
MAX_CATEGORIES = 1000
MAX_DISTINCT_SHARE = 0.5
"""A column of texts with more distinct values than either, and than two, is taken for identifiers or free text."""
MAX_INTEGER_CLASSES = 20
ROWS_PER_BATCH = 65_536

TypedColumn = NumberColumn | TextColumn


@dataclass(slots=True)
class TableSource:
    """A `Source`; all damage is found before the first batch."""

    num_rows: int
    stratify_N: npt.NDArray[np.int64] | None
    splits: Mapping[str, Rows]
    notes: list[str]
    damage: Damage
    fingerprint: str
    columns: list[TypedColumn]
    target: TypedColumn
    classes: tuple[str, ...]
    """Empty if the target is a number."""
    left_out: tuple[str, ...]
    """Columns that the file has and the schema has not."""

    def schema(self, train_rows: Rows) -> Schema:
        if not len(train_rows):
            raise DataError("the training split has no rows")
        if isinstance(self.target, TextColumn) and len(self.classes) < 2:
            raise DataError(
                f"the label `{self.target.name}` has only the class `{''.join(self.classes)}`: nothing can be learned",
                hint="choose another column with `data.label=NAME`",
            )
        if not self.columns:
            raise DataError("no column is left to learn from", hint="the notes say why each was left out")
        columns = []
        for column in self.columns:
            if isinstance(column, NumberColumn):
                columns.append(Column(column.name, "number"))
            else:
                columns.append(Column(column.name, "category", tuple(sorted(column.present(train_rows)))))
        num_numbers = sum(column.kind == "number" for column in columns)
        inputs = (
            TensorSpec("numbers", "float32", (num_numbers,)),
            TensorSpec("categories", "int64", (len(columns) - num_numbers,)),
        )
        return Schema(
            columns=tuple(columns),
            inputs=tuple(spec for spec in inputs if spec.shape != (0,)),
            target=Target(self.target.name, "class" if self.classes else "number", self.classes),
            extra={"left_out": list(self.left_out)},
        )

    def estimated_bytes(self) -> int:
        per_row = sum(4 if isinstance(column, NumberColumn) else 8 for column in [*self.columns, self.target])
        return self.num_rows * per_row

    def batches(self, rows: Rows, schema: Schema) -> Iterator[Batch]:
        encoder = Encoder(schema)
        for start in range(0, len(rows), ROWS_PER_BATCH):
            part = rows[start : start + ROWS_PER_BATCH]
            inputs = encoder.encode_columns({column.name: column.cells(part) for column in self.columns})
            yield inputs, encoder.encode_target(self.target.cells(part))


def read(config: DataConfig, path: Path) -> TableSource:
    """Understand the table at `path`, and the one at `config.test` as its test split.

    Raises:
        ConfigError: The config names a column that is not there, or has a knob that does not go with tables.
        DataError: A file cannot be read, or has no rows that can be used.
    """
    check_knobs(config, KNOBS, "a table")
    files = [load(path)]
    if config.test is not None:
        files.append(load(Path(config.test)))
    for file in files:
        _check_rows(file)
    table, untyped = _join(files)
    names = list(table.column_names)
    notes = [note for file in files for note in file.notes]
    label = _find_label(config, names, notes)
    for key, wanted in (("ignore", config.ignore), ("categories", config.categories)):
        for name in wanted:
            _check_known(name, names, f"data.{key}")

    typed: dict[str, TypedColumn] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if name in config.ignore:
            left_out["asked for by `data.ignore`"].append(name)
            continue
        column = type_column(name, table[name], untyped=name in untyped, as_texts=name in config.categories)
        if not isinstance(column, str):
            typed[name] = column
        elif name == label:
            raise DataError(f"the label `{name}` {column}", hint="choose another column with `data.label=NAME`")
        else:
            left_out[column].append(name)

    damage, rows = _find_damage(files, typed, label)
    typed = {name: column.keep(rows) for name, column in typed.items()}
    splits = _splits_of_column(typed, label, notes) if len(files) == 1 else {}
    if splits:
        left_out["it says which split a row is of"].append(SPLIT_COLUMN)
    target, classes = _understand_label(typed.pop(label), config, notes)
    columns = _leave_out(typed.values(), config, left_out, notes)
    for why, some in left_out.items():
        notes.append(f"left out {_listed(some)}: {why}")

    boundary = int(np.searchsorted(rows, files[0].table.num_rows))
    if len(files) > 1 and boundary in (0, len(rows)):
        empty = files[0 if boundary == 0 else 1].path
        raise DataError(f"`{empty}` has no rows that can be used")
    everything = np.arange(len(rows), dtype=np.int64)
    return TableSource(
        num_rows=len(rows),
        stratify_N=_codes(target, classes) if classes else None,
        splits={"train": everything[:boundary], "test": everything[boundary:]} if len(files) > 1 else splits,
        notes=notes,
        damage=damage,
        fingerprint=_fingerprint(files),
        columns=columns,
        target=target,
        classes=classes,
        left_out=tuple(name for some in left_out.values() for name in some),
    )


def _fingerprint(files: list[TableFile]) -> str:
    if len(files) == 1:
        return files[0].fingerprint
    return hashlib.sha256("".join(file.fingerprint for file in files).encode()).hexdigest()


def _check_rows(file: TableFile) -> None:
    if not file.table.num_rows:
        damage = Damage(len(file.damaged), [(f"{file.path.name}:{line}", why) for line, why in file.damaged])
        damage.enforce(0.0)
        raise DataError(f"`{file.path}` has no rows")


def _join(files: list[TableFile]) -> tuple[Any, set[str]]:
    """One Arrow table of all files, and its columns whose type is still to be found."""
    names = files[0].table.column_names
    for file in files[1:]:
        odd = sorted(set(names) ^ set(file.table.column_names))
        if odd:
            raise DataError(
                f"`{files[0].path}` and `{file.path}` have different columns: "
                f"{', '.join(f'`{name}`' for name in odd[:10])} are in only one of them"
            )
    untyped = set().union(*(file.untyped for file in files))
    try:
        tables = []
        for file in files:
            table = file.table.select(names)
            for place, name in enumerate(names):
                if name in untyped and name not in file.untyped:
                    table = table.set_column(place, name, table[name].cast(pa.large_string()))
            tables.append(table)
        return pa.concat_tables(tables, promote_options="permissive"), untyped
    except pa.ArrowException as error:
        paths = " and ".join(f"`{file.path}`" for file in files)
        raise DataError(f"{paths} have columns of different types: {error}") from error


def _check_known(name: str, names: list[str], key: str) -> None:
    if name not in names:
        raise ConfigError(
            f"`{name}` of `{key}` is not a column of the table", hint=did_you_mean(name, names, "columns")
        )


def _find_label(config: DataConfig, names: list[str], notes: list[str]) -> str:
    if config.label is not None:
        _check_known(config.label, names, "data.label")
        if config.label in config.ignore:
            raise ConfigError(f"`{config.label}` is both `data.label` and in `data.ignore`")
        return config.label
    candidates = [name for name in names if name not in config.ignore]
    if not candidates:
        raise DataError("the table has no columns that are not ignored")
    by_name = {name.lower(): name for name in reversed(candidates)}
    label = next((by_name[name] for name in LABEL_NAMES if name in by_name), None)
    how = "by its name" if label is not None else "the last column"
    label = label if label is not None else candidates[-1]
    notes.append(f"`{label}` is the label ({how}); `data.label=NAME` chooses another")
    return label


def _find_damage(files: list[TableFile], typed: Mapping[str, TypedColumn], label: str) -> tuple[Damage, Rows]:
    """All damage, in the order of the files, and the rows without any."""
    num_rows = sum(file.table.num_rows for file in files)
    why: dict[int, str] = {}
    for column in typed.values():
        if isinstance(column, NumberColumn):
            for row, reason in column.damaged.items():
                why.setdefault(row, reason)
    for row in np.flatnonzero(typed[label].is_missing()).tolist():
        why.setdefault(row, f"the label `{label}` is missing")
    damage = Damage(num_seen=num_rows + sum(len(file.damaged) for file in files))
    start = 0
    ordered = sorted(why)
    for file in files:
        stop = start + file.table.num_rows
        found = [(int(file.lines_N[row - start]), why[row]) for row in ordered if start <= row < stop]
        for line, reason in sorted(found + file.damaged):
            damage.add(f"{file.path.name}:{line}", reason)
        start = stop
    keep_N = np.ones(num_rows, bool)
    keep_N[ordered] = False
    rows = np.flatnonzero(keep_N).astype(np.int64)
    if not len(rows):
        damage.enforce(0.0)
    return damage, rows


def _understand_label(label: TypedColumn, config: DataConfig, notes: list[str]) -> tuple[TypedColumn, tuple[str, ...]]:
    """The label as it will be learned, and its classes in order; no classes for a number."""
    kind = config.label_kind
    if kind == "number" and not isinstance(label, NumberColumn):
        raise DataError(
            f"the label `{label.name}` holds texts, not numbers",
            hint="leave `data.label_kind` out, or clean the column",
        )
    if isinstance(label, NumberColumn):
        distinct = np.unique(label.values_N)
        looks_like_number = len(distinct) > MAX_INTEGER_CLASSES or bool((distinct != np.round(distinct)).any())
        if kind == "number" or (kind == "auto" and looks_like_number):
            notes.append(f"`{label.name}` is predicted as a number: it has {len(distinct)} values")
            return label, ()
        label = label.as_texts()
        notes.append(
            f"`{label.name}` is predicted as a class: it has {len(distinct)} values; `data.label_kind` overrides"
        )
    classes = tuple(sorted(label.present(slice(None)), key=natural_key))
    num_rows = len(label.codes_N)
    if len(classes) > max(MAX_INTEGER_CLASSES, MAX_DISTINCT_SHARE * num_rows):
        raise DataError(
            f"the label `{label.name}` has {len(classes)} different texts in {num_rows} rows, which are not classes",
            hint="choose another column with `data.label=NAME`",
        )
    return label, in_wanted_order(classes, config.classes)


def _splits_of_column(typed: dict[str, TypedColumn], label: str, notes: list[str]) -> dict[str, Rows]:
    """The rows of each split, where a column `split` names them; the column is then no more among the others."""
    column = typed.get(SPLIT_COLUMN)
    if not isinstance(column, TextColumn) or label == SPLIT_COLUMN or column.is_missing().any():
        return {}
    words = {text: SPLIT_WORDS.get(text.lower()) for text in column.present(slice(None))}
    if None in words.values() or "train" not in words.values():
        return {}
    del typed[SPLIT_COLUMN]
    named_N = np.array([words[text] for text in column.cells(np.arange(len(column.codes_N)))])
    splits = {str(name): np.flatnonzero(named_N == name).astype(np.int64) for name in np.unique(named_N)}
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in splits.items())
    notes.append(f"the splits are those of the column `{SPLIT_COLUMN}`: {sizes}")
    return splits


def _codes(label: TypedColumn, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    if not isinstance(label, TextColumn):
        raise TypeError(f"{label.name} has no classes")
    code_of = {name: code for code, name in enumerate(classes)}
    codes_D = np.array([code_of.get(text, -1) for text in label.texts_D], np.int64)
    return codes_D[label.codes_N]


def _leave_out(
    columns: Iterable[TypedColumn], config: DataConfig, left_out: dict[str, list[str]], notes: list[str]
) -> list[TypedColumn]:
    """The columns worth learning from; the others are added to `left_out` by reason."""
    kept: list[TypedColumn] = []
    for column in columns:
        name = column.name
        num_present = int((~column.is_missing()).sum())
        if num_present == 0:
            left_out["without any value"].append(name)
        elif len(column.is_missing()) > 1 and column.is_constant():
            left_out["the same value in every row"].append(name)
        elif isinstance(column, TextColumn) and name not in config.categories:
            num_distinct = len(column.present(slice(None)))
            if num_distinct > MAX_CATEGORIES or num_distinct > max(2, MAX_DISTINCT_SHARE * num_present):
                why = _why_texts(column, num_distinct, num_present)
                left_out[why].append(name)
            else:
                kept.append(column)
        else:
            kept.append(column)
            if isinstance(column, NumberColumn) and _counts_rows(column):
                notes.append(f"`{name}` counts the rows; `data.ignore=[{name}]` leaves it out")
    return kept


_LOOKS_LIKE = (
    (re.compile(r"-?[\d.]*\d,\d+"), "numbers with decimal commas: write them with points"),
    (re.compile(r"-?\d+([.,]\d+)? ?%"), "percentages: write them as numbers"),
    (
        re.compile(r"\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*"),
        "dates: write what counts as numbers, such as the year",
    ),
)


def _why_texts(column: TextColumn, num_distinct: int, num_present: int) -> str:
    """Why a column of texts is left out, with the likely cause where its texts show one."""
    texts = column.present(slice(None))
    for pattern, words in _LOOKS_LIKE:
        if sum(bool(pattern.fullmatch(text)) for text in texts) >= NUMBER_SHARE * len(texts):
            return f"its texts look like {words}"
    return f"{num_distinct} different texts in {num_present} rows, such as identifiers or free text"


def _counts_rows(column: NumberColumn) -> bool:
    return len(column.values_N) > MAX_INTEGER_CLASSES and bool((np.diff(column.values_N) == 1).all())


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:5])
    return shown if len(names) <= 5 else f"{len(names)} columns ({shown}, …)"
