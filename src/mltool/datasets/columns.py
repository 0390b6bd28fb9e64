"""Columns on disk: plain `.npy` files, written row by row and read without copying them into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from mltool.core.errors import ArtifactError

# Axes: N rows

Array = npt.NDArray[np.generic]
TARGET = "target"


class ColumnWriter:
    """Appends rows to one `.npy` file; its header is completed when the number of rows is known."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
        self._stream: IO[bytes] = path.open("wb")
        self._dtype, self._shape, self.num_rows = np.dtype(dtype), shape, 0
        self._write_header()
        self._header_bytes = self._stream.tell()

    def append(self, rows_N: Array) -> None:
        if rows_N.shape[1:] != self._shape or rows_N.dtype != self._dtype:
            raise ValueError(f"rows of {rows_N.dtype} {rows_N.shape[1:]} do not fit {self._dtype} {self._shape}")
        self._stream.write(np.ascontiguousarray(rows_N).data if rows_N.size else b"")
        self.num_rows += len(rows_N)

    def close(self) -> None:
        self._stream.seek(0)
        self._write_header()
        if self._stream.tell() != self._header_bytes:
            raise RuntimeError("the header of a column grew")
        self._stream.close()

    def _write_header(self) -> None:
        # numpy pads the header so that axis 0 can grow to 21 digits in place.
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.num_rows, *self._shape),
        }
        np.lib.format.write_array_header_1_0(self._stream, header)


@contextmanager
def column_writers(
    folder: Path, specs: Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]]
) -> Iterator[dict[str, ColumnWriter]]:
    """One writer for each name; their files are whole when the block ends without an error."""
    folder.mkdir(parents=True, exist_ok=True)
    writers = {name: ColumnWriter(folder / f"{name}.npy", dtype, shape) for name, (dtype, shape) in specs.items()}
    try:
        yield writers
    finally:
        for writer in writers.values():
            writer.close()


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows of one split; memory-mapped, so reading a slice reads only that slice."""

    inputs: Mapping[str, Array]
    target: Array

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows_N: npt.NDArray[np.int64] | slice) -> tuple[dict[str, Array], Array]:
        """Copies of some rows: inputs by name, and targets."""
        return {name: np.array(column[rows_N]) for name, column in self.inputs.items()}, np.array(self.target[rows_N])

    def batches(self, batch_size: int) -> Iterator[tuple[dict[str, Array], Array]]:
        for start in range(0, len(self), batch_size):
            yield self.take(slice(start, start + batch_size))


def open_columns(folder: Path, names: Sequence[str]) -> Columns:
    """Map the columns of one split.

    Raises:
        ArtifactError: A column is missing or damaged, or their lengths differ.
    """
    try:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in (*names, TARGET)}
    except ValueError as error:
        if "empty file" not in str(error) and "mmap" not in str(error):
            raise ArtifactError(f"`{folder}` holds a damaged column: {error}") from error
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in (*names, TARGET)}
    except OSError as error:
        raise ArtifactError(f"`{folder}` cannot be read: {error}") from error
    target = arrays.pop(TARGET)
    if any(len(array) != len(target) for array in arrays.values()):
        raise ArtifactError(f"the columns in `{folder}` differ in length")
    return Columns(arrays, target)
