"""Small tables, written and read; what the tests of the table reader share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mltool.datasets.config import DataConfig
from mltool.datasets.readers.table import TableSource, read


def write(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def table(folder: Path, text: str | bytes, name: str = "data.csv", **knobs: Any) -> TableSource:
    return read(DataConfig(**knobs), write(folder, text, name))


def kinds(source: TableSource) -> dict[str, str]:
    return {column.name: column.kind for column in everything(source)[0].columns}


def everything(source: TableSource) -> tuple[Any, dict[str, np.ndarray], np.ndarray]:
    rows = np.arange(source.num_rows)
    schema = source.schema(rows)
    ((inputs, target),) = source.batches(rows, schema)
    return schema, inputs, target


def rows_of(*cells: str, times: int = 1) -> str:
    return "".join(f"{cell}\n" for cell in cells * times)


FLOWERS = "length,colour,species\n" + rows_of(
    "1.5,red,rose", "2,blue,violet", ",red,rose", "4,,violet", "5,blue,rose", "6,red,violet"
)
