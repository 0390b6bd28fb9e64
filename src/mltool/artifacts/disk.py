"""What is wrong with a disk, in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mltool.core.errors import MltoolError


@contextmanager
def explained_disk_errors(root: Path) -> Iterator[None]:
    """Say what is wrong with the disk instead of showing its error number."""
    reasons = {
        errno.ENOSPC: ("there is no space left", "free some space, or set MLTOOL_HOME to a folder on a larger disk"),
        errno.EDQUOT: ("the disk quota is used up", "free some space, or set MLTOOL_HOME to a folder on a larger disk"),
        errno.EFBIG: ("a file grew over the limit of the system", "raise it (`ulimit -f`), or use less data"),
        errno.EROFS: ("the disk is read-only", "set MLTOOL_HOME to a folder that can be written"),
        errno.EACCES: ("the folder cannot be written", "set MLTOOL_HOME to a folder that can be written"),
        errno.EPERM: ("the folder cannot be written", "set MLTOOL_HOME to a folder that can be written"),
        errno.ENOTDIR: ("a file stands where a folder is needed", "set MLTOOL_HOME to another folder"),
        errno.EEXIST: ("a file stands where a folder is needed", "set MLTOOL_HOME to another folder"),
    }
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        if number not in reasons or not _below(error.filename, root):
            raise
        what, hint = reasons[number]
        raise MltoolError(f"cannot write to `{root}`: {what}", hint=hint) from error


def _below(filename: object, root: Path) -> bool:
    # A full disk is met in the middle of a write, where Python knows no file name.
    return filename is None or str(filename).startswith(str(root))
