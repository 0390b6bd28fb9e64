"""What a project tracks with DVC already: pushed and pulled as its own DVC would, and no file of it changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mltool.core import events
from mltool.core.errors import ArtifactError, MltoolError
from mltool.integrations.dvc import talk
from mltool.integrations.dvc.remote import Remote, address_of, explanation, kept_in, opened, with_emulator
from mltool.integrations.dvc.words import explained

_LOCK_TIMEOUT_S = 60.0
_LOCK_PAUSE_S = 0.5
_OURS = "mltool"
_ResultT = TypeVar("_ResultT")


@dataclass(frozen=True, slots=True)
class TrackedOut:
    """A file or folder that DVC tracks."""

    path: Path
    pointer: Path
    """The `.dvc` file or `dvc.yaml` that says so."""
    md5: str | None
    """None for what was never added or made."""
    size_bytes: int | None
    num_files: int | None

    @property
    def is_here(self) -> bool:
        return self.path.exists()

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "pointer": str(self.pointer),
            "md5": self.md5,
            "size_bytes": self.size_bytes,
            "num_files": self.num_files,
            "here": self.is_here,
        }


def is_tracked(project: Path) -> bool:
    """Whether a project lies in one of DVC; without loading DVC."""
    return any((folder / ".dvc").is_dir() for folder in (project, *project.parents))


class Tracked:
    """The DVC project that a project of ours lies in.

    Args:
        remote: Where data goes if DVC itself has no default remote.
    """

    def __init__(self, project: Path, remote: str | None = None) -> None:
        talk.prepare()
        from dvc.repo import Repo

        with talk.quiet(), explained(None):
            written = Repo(str(project)).config
            given = dict(written["remote"])
            self.without_verify = [name for name, settings in given.items() if not settings.get("verify")]
            core = {}
            if remote is not None and not written["core"].get("remote"):
                given[_OURS] = {"url": remote}
                core = {"remote": _OURS}
            for settings in given.values():
                talk.prepare(settings.get("endpointurl"))
            # In memory only. DVC without `verify` hands out damaged files as good ones.
            in_memory = {name: {**with_emulator(settings), "verify": True} for name, settings in given.items()}
            self.repo: Any = Repo(str(project), config={"core": core, "remote": in_memory})
            self.root = Path(self.repo.root_dir)

    @property
    def url(self) -> str | None:
        """The address of the default remote."""
        name = self.repo.config["core"].get("remote")
        return str(self.repo.config["remote"][name]["url"]) if name in self.repo.config["remote"] else None

    def default_remote(self) -> Remote | None:
        """The default remote, opened with the settings that DVC has for it."""
        name = self.repo.config["core"].get("remote")
        settings = self.repo.config["remote"].get(name) if name else None
        return opened(settings) if settings else None

    def outs(self) -> list[TrackedOut]:
        """Everything that DVC keeps in its cache, in the order of its paths.

        Raises:
            DataError: A `.dvc` file or a `dvc.yaml` cannot be read.
        """
        with talk.quiet(), explained(None):
            found = [out for out in self.repo.index.outs if out.use_cache and out.is_in_repo]
        return sorted((_tracked(out) for out in found), key=lambda out: out.path)

    def push(self, chosen: Sequence[TrackedOut]) -> int:
        """Send what is in DVC's cache to the project's remote, and return the number of objects that it lacked.

        Raises:
            ArtifactError: Something is in neither the cache nor the remote.
            RemoteError: The remote cannot be written or reached.
        """
        with talk.quiet() as failures, explained(self.url or "the remote", failures):
            for out in self._own(chosen):
                absent = self._absent(out)
                if absent and not self._in_remote(out, absent):
                    raise ArtifactError(
                        f"`{self._shown(out)}` is tracked, but not all of it is in DVC's cache or in the remote",
                        hint=f"take it in with `dvc commit {self._shown(out)}`, and push again",
                    )
            targets = [str(out.path) for out in chosen]
            with talk.progress("push"):
                return int(self._locked(lambda: self.repo.push(targets=targets)))

    def pull(self, chosen: Sequence[TrackedOut]) -> int:
        """Fetch into DVC's cache, compare all with its hashes, then put it where it belongs.

        Returns:
            The number of objects that were fetched.

        Raises:
            ArtifactError: Something is missing in the remote, or damaged there; no file was changed then.
            DataError: Files were changed here, and would be lost.
            RemoteError: The remote cannot be read or reached.
        """
        from dvc.exceptions import FileTransferError
        from dvc_objects.errors import ObjectFormatError

        targets = [str(out.path) for out in chosen]
        with talk.quiet() as failures, explained(self.url or "the remote", failures):
            try:
                with talk.progress("pull"):
                    fetched = int(self._locked(lambda: self.repo.fetch(targets=targets)))
            except (FileTransferError, ObjectFormatError):
                if not any(explanation(failure, "") for failure in failures):
                    self._expect_whole(chosen)
                raise
            # Before anything is put in place: DVC would delete a folder that it cannot make whole.
            self._expect_whole(chosen)
            self._locked(lambda: self.repo.checkout(targets=targets))
        return fetched

    def kept(self, chosen: Sequence[TrackedOut]) -> set[Path]:
        """Which of them the remote keeps whole, as far as their listings say."""
        with talk.quiet() as failures, explained(self.url or "the remote", failures):
            return {
                Path(out.fs_path)
                for out in self._own(chosen)
                if out.hash_info and self._in_remote(out, [str(out.hash_info.value)])
            }

    def _own(self, chosen: Sequence[TrackedOut]) -> list[Any]:
        paths = {str(out.path) for out in chosen}
        return [out for out in self.repo.index.outs if out.fs_path in paths]

    def _absent(self, out: Any, remote: Any = None) -> list[str]:
        """The objects of an out that are not in DVC's cache.

        Args:
            remote: The store that lists a folder whose listing is not in the cache either.
        """
        from dvc_data.hashfile.tree import Tree
        from dvc_objects.errors import ObjectFormatError

        if not out.hash_info:
            return []
        oid = str(out.hash_info.value)
        absent = [] if out.cache.exists(oid) else [oid]
        listed_in = remote if absent else out.cache
        if not out.hash_info.isdir or listed_in is None:
            return absent
        try:
            entries = {str(hash_info.value) for _, _, hash_info in Tree.load(listed_in, out.hash_info)}
        except (FileNotFoundError, ObjectFormatError):
            return absent
        return [*absent, *sorted(entries - set(out.cache.oids_exist(list(entries))))]

    def _in_remote(self, out: Any, oids: Sequence[str]) -> bool:
        odb = self.repo.cloud.get_remote_odb(out.remote, hash_name=out.hash_name)
        return len(kept_in(odb, oids)) == len(set(oids))

    def _expect_whole(self, chosen: Sequence[TrackedOut]) -> None:
        """Name what is not in the cache because the remote lacks it, or holds something else in its place."""
        from dvc_data.hashfile.hash import hash_file

        for out in self._own(chosen):
            odb = self.repo.cloud.get_remote_odb(out.remote, hash_name=out.hash_name)
            for oid in self._absent(out, odb):
                where = address_of(odb, oid)
                if not odb.exists(oid):
                    raise ArtifactError(
                        f"`{self._shown(out)}` is not whole in the remote: `{where}` is missing",
                        hint="run `mltool data push` where the data is",
                    )
                _, found = hash_file(odb.oid_to_path(oid), odb.fs, odb.hash_name)
                if str(found.value).removesuffix(".dir") != oid.removesuffix(".dir"):
                    raise ArtifactError(
                        f"`{self._shown(out)}` is damaged in the remote: `{where}` is not what its hash says",
                        hint="delete that object, and push again where the data is whole",
                    )

    def _shown(self, out: Any) -> str:
        return os.path.relpath(out.fs_path)

    def _locked(self, call: Callable[[], _ResultT]) -> _ResultT:
        """Wait for another process of DVC rather than fail after three seconds."""
        from dvc.lock import LockError

        began, told = time.monotonic(), False
        while True:
            try:
                return call()
            except LockError as error:
                if time.monotonic() - began > _LOCK_TIMEOUT_S:
                    raise MltoolError(
                        f"another process of DVC holds `{self.root}`", hint="wait for it, or end it, and try again"
                    ) from error
                if not told:
                    events.info(f"waiting for another process of DVC in `{self.root}`")
                told = True
                time.sleep(_LOCK_PAUSE_S)


def _tracked(out: Any) -> TrackedOut:
    meta, hash_info = out.meta, out.hash_info
    return TrackedOut(
        path=Path(out.fs_path),
        pointer=Path(out.stage.path),
        md5=str(hash_info.value) if hash_info else None,
        size_bytes=meta.size if meta else None,
        num_files=(meta.nfiles if meta.isdir else 1) if meta else None,
    )
