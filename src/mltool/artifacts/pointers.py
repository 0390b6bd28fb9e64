"""Pointers: small files, committed beside the names, from an artifact to what a remote keeps of it.

.mltool/refs/remote/<digest12>.dvc  in the form of DVC, whose remote the files are in
.mltool/refs/remote/.dvcignore      keeps the project's own DVC from taking them for its own
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mltool.artifacts import digest
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_text
from mltool.core.errors import ArtifactError

_FOLDER = "remote"
_OID = re.compile(r"[0-9a-f]{32}\.dir")
_HIDDEN = "# These belong to mltool: `mltool data push` and `pull` read them.\n*.dvc\n"


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a remote keeps of an artifact."""

    oid: str
    """The object that lists the files: an MD5 and `.dir`."""
    size_bytes: int
    num_files: int


def path_of(store: Store, full_digest: str) -> Path:
    return store.refs.folder / _FOLDER / f"{full_digest[: digest.SHORT]}.dvc"


def write(store: Store, full_digest: str, pointer: Pointer) -> Path:
    """Write a pointer, and return where it is."""
    path = path_of(store, full_digest)
    text = (
        "outs:\n"
        f"- md5: {pointer.oid}\n"
        f"  size: {pointer.size_bytes}\n"
        f"  nfiles: {pointer.num_files}\n"
        "  hash: md5\n"
        f"  path: ../../artifacts/{full_digest[: digest.SHORT]}\n"
    )
    with explained_disk_errors(store.root):
        path.parent.mkdir(parents=True, exist_ok=True)
        ignored = path.with_name(".dvcignore")
        if not ignored.exists():
            write_text(ignored, _HIDDEN)
        write_text(path, text)
    return path


def read(store: Store, full_digest: str) -> Pointer | None:
    """The pointer of an artifact; None for one that was never pushed.

    Raises:
        ArtifactError: It cannot be read.
    """
    import yaml

    path = path_of(store, full_digest)
    try:
        (out,) = yaml.safe_load(path.read_text(encoding="utf-8"))["outs"]
        pointer = Pointer(str(out["md5"]), int(out["size"]), int(out["nfiles"]))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ArtifactError(
            f"`{path}` is damaged: {first}", hint="restore it, for example with `git checkout`, or push again"
        ) from error
    if not _OID.fullmatch(pointer.oid):
        raise ArtifactError(f"`{path}` is damaged: `{pointer.oid}` is no folder", hint="restore it, or push again")
    if min(pointer.size_bytes, pointer.num_files) < 0:
        raise ArtifactError(f"`{path}` is damaged: a size is below 0", hint="restore it, or push again")
    return pointer


def remove(store: Store, full_digest: str) -> None:
    """Forget what a remote keeps of an artifact; the remote keeps it."""
    path_of(store, full_digest).unlink(missing_ok=True)
