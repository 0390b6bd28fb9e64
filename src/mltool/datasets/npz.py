"""`.npz` files, opened without running code or filling the memory."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from mltool.core import host, units
from mltool.core.errors import DataError

Array = npt.NDArray[Any]
UNREADABLE = (
    ValueError,
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy raises for a file that is cut off, damaged or made to break it."""


@contextmanager
def opened_npz(stream: IO[bytes], name: str) -> Iterator[Mapping[str, Array]]:
    """The arrays of an archive, read when they are asked for.

    Args:
        name: What the file is called in messages.

    Raises:
        DataError: It is no whole archive, holds pickled objects, or unpacks to more than the memory that is free.
    """
    try:
        with np.load(stream, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile) or archive.zip is None:
                raise DataError(f"{name} holds one unnamed array", hint="save inputs and labels with `np.savez`")
            # The zip reads no more of an entry than it declares, so that a small file cannot fill the memory.
            needed = sum(int(entry.file_size) for entry in archive.zip.infolist())
            if needed > host.available_memory_bytes():
                raise DataError(f"{name} unpacks to {units.size(needed)}, more than the memory that is free")
            yield archive
    except UNREADABLE as error:
        if "allow_pickle" in str(error) or "pickled" in str(error):
            raise DataError(
                f"{name} holds pickled objects, which can run code when they are opened",
                hint="save plain arrays: `np.savez(path, images=np.stack(images), labels=np.array(labels))`",
            ) from error
        raise DataError(f"{name} is not a whole .npz file: {error or type(error).__name__}") from error
