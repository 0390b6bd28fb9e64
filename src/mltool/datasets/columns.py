"""Columns on disk: plain `.npy` files, written row by row and read without copying them into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
        with self._stream:
            self._stream.seek(0)
            self._write_header()
            if self._stream.tell() != self._header_bytes:
                raise RuntimeError("the header of a column grew")

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
    """One writer for each name; their files are whole when the block ends without an error.

    Raises:
        ArtifactError: A name would leave the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, ColumnWriter] = {}
    with ExitStack() as stack:
        for name, (dtype, shape) in specs.items():
            writers[name] = ColumnWriter(_path(folder, name), dtype, shape)
            stack.callback(writers[name].close)
        yield writers


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
        ArtifactError: A column is missing or damaged, a name leaves the folder, or the lengths differ.
    """
    arrays = {name: _mapped(_path(folder, name)) for name in (*names, TARGET)}
    target = arrays.pop(TARGET)
    if any(len(array) != len(target) for array in arrays.values()):
        raise ArtifactError(f"the columns in `{folder}` differ in length")
    return Columns(arrays, target)


def _path(folder: Path, name: str) -> Path:
    path = folder / f"{name}.npy"
    if path.parent != folder:
        raise ArtifactError(f"`{name}` cannot name a column: its file would leave `{folder}`")
    return path


def _mapped(path: Path) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        num_bytes = path.stat().st_size
    except (ValueError, EOFError) as error:
        raise ArtifactError(f"`{path}` is a damaged column: {error}") from error
    except OSError as error:
        raise ArtifactError(f"`{path}` cannot be read: {error}") from error
    # A writer that never came to its end left a header that says 0 rows.
    if not isinstance(array, np.memmap) or num_bytes != array.offset + array.nbytes:
        raise ArtifactError(f"`{path}` is a damaged column: it holds other rows than its header says")
    return array
