"""Files of the user, read whole."""

from __future__ import annotations

from pathlib import Path

from mltool.core.errors import DataError


def content_of(path: Path | str) -> bytes:
    """All bytes of a file.

    Raises:
        DataError: It does not exist, is a folder, or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"`{path}` does not exist") from None
    except IsADirectoryError:
        raise DataError(f"`{path}` is a folder, but a file is needed") from None
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the path
        raise DataError(f"`{path}` cannot be read: {error}") from error
