"""A folder kept in a remote, file by file, as DVC keeps one; without a second copy on this disk."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mltool.artifacts.digest import files_below
from mltool.core.errors import ArtifactError
from mltool.integrations.dvc.remote import LocalDiskError, Remote, kept_in
from mltool.integrations.dvc.transfer import Moved, callback, move_all

_CHUNK_BYTES = 1 << 20
_MD5 = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a folder that is kept in a remote."""

    name: str
    md5: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Folder:
    """What a remote keeps of a folder: an object for each file, and one that lists them."""

    oid: str
    """As DVC writes it into a `.dvc` file: an MD5 and `.dir`."""
    files: tuple[Listed, ...]
    listing: bytes

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def folder_of(path: Path) -> Folder:
    """The folder at `path` as DVC would list it; nothing is written."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    files = []
    for name in files_below(path):
        file = Listed(name, _md5_of(path / name), (path / name).stat().st_size)
        tree.add(tuple(name.split("/")), None, HashInfo("md5", file.md5))
        files.append(file)
    tree.digest()
    return Folder(str(tree.oid), tuple(files), tree.as_bytes())


def missing_in(remote: Remote, folder: Folder) -> list[Listed]:
    """The files that the remote does not keep yet, one of each content."""
    unique = {file.md5: file for file in folder.files}
    with remote.explained():
        kept = kept_in(remote.odb, unique)
    return [file for md5, file in unique.items() if md5 not in kept]


def holds(remote: Remote, oids: Iterable[str]) -> set[str]:
    """Which of these folders the remote keeps whole, as far as their listing says: it is written last."""
    with remote.explained():
        return kept_in(remote.odb, oids)


def push_folder(remote: Remote, path: Path, folder: Folder, missing: list[Listed]) -> None:
    """Send what is missing, and the listing last, so that an interrupted push is no folder yet.

    Raises:
        RemoteError: The remote cannot be written or reached.
    """
    by_md5 = {file.md5: file for file in missing}
    with remote.explained():
        if missing:
            move_all(
                "push",
                by_md5,
                lambda md5, moved: _put(remote, md5, path / by_md5[md5].name, moved),
                total_bytes=sum(file.size_bytes for file in missing),
            )
        if not remote.odb.exists(folder.oid):
            _put_listing(remote, folder)


def pull_folder(remote: Remote, oid: str, into: Path, *, size_bytes: int, name: str) -> None:
    """Fetch a folder into an empty one, and compare each file with its hash.

    Args:
        name: What the folder is called, for messages.

    Raises:
        ArtifactError: An object is missing in the remote or damaged there.
        RemoteError: The remote cannot be read or reached.
    """
    with remote.explained():
        files = _listed(_read(remote, oid, name), oid, remote, name)

        def receive(file: str, moved: Moved) -> int:
            return _get(remote, files[file], into / file, name, moved)

        move_all("pull", files, receive, total_bytes=size_bytes)


def _put(remote: Remote, oid: str, source: Path, moved: Moved) -> int:
    if not remote.is_local:
        remote.odb.fs.put_file(str(source), remote.odb.oid_to_path(oid), callback=callback(moved))
        return source.stat().st_size
    with _staged(Path(remote.odb.oid_to_path(oid))) as staged, source.open("rb") as stream, staged.open("wb") as copy:
        while chunk := stream.read(_CHUNK_BYTES):
            copy.write(chunk)
            moved(len(chunk))
        return source.stat().st_size


def _put_listing(remote: Remote, folder: Folder) -> None:
    if remote.is_local:
        with _staged(Path(remote.odb.oid_to_path(folder.oid))) as staged:
            staged.write_bytes(folder.listing)
    else:
        remote.odb.add_bytes(folder.oid, folder.listing)


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A file to write, which takes its place when it is whole; DVC would leave a part of it behind on a full disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield staged
        staged.chmod(0o444)  # as DVC does, which takes what can be written for unfinished
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _get(remote: Remote, oid: str, target: Path, name: str, moved: Moved) -> int:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remote.odb.fs.get_file(remote.odb.oid_to_path(oid), str(target), callback=callback(moved))
    except FileNotFoundError:
        raise _missing(remote, oid, name) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise LocalDiskError(error.errno, error.strerror) from None
        raise
    if _md5_of(target) != oid:
        raise _damaged(remote, oid, name)
    return target.stat().st_size


def _read(remote: Remote, oid: str, name: str) -> bytes:
    try:
        content = bytes(remote.odb.fs.fs.cat_file(remote.odb.oid_to_path(oid)))
    except FileNotFoundError:
        raise _missing(remote, oid, name) from None
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != oid.removesuffix(".dir"):
        raise _damaged(remote, oid, name)
    return content


def _listed(content: bytes, oid: str, remote: Remote, name: str) -> dict[str, str]:
    """The hash of each file of a listing; every file is below the folder, whoever wrote the listing."""
    try:
        files = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(content)}
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(remote, oid, name) from error
    for path, md5 in files.items():
        parts = PurePosixPath(path).parts
        is_below = parts and not path.startswith("/") and ".." not in parts and "\\" not in path and ":" not in parts[0]
        if not is_below or not _MD5.fullmatch(md5):
            raise ArtifactError(f"`{remote.where(oid)}` lists `{path}`, which cannot be a file of a dataset")
    return files


def _missing(remote: Remote, oid: str, name: str) -> ArtifactError:
    return ArtifactError(
        f"`{name}` is not whole in `{remote.shown}`: `{remote.where(oid)}` is missing",
        hint=f"run `mltool data push {name}` where the dataset is",
    )


def _damaged(remote: Remote, oid: str, name: str) -> ArtifactError:
    return ArtifactError(
        f"`{name}` is damaged in `{remote.shown}`: `{remote.where(oid)}` is not what its hash says",
        hint=f"delete that object, and run `mltool data push {name}` again where the dataset is",
    )


def _md5_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
