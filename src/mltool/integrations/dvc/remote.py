"""A place outside this machine's project where data is kept: a folder, or a bucket."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mltool.core.dvc_config import without_password
from mltool.core.errors import ConfigError, MltoolError, RemoteError
from mltool.integrations.dvc import buckets, talk


class LocalDiskError(OSError):
    """The disk of this machine takes no more, while something came from a remote; the store says so in words."""


@dataclass(frozen=True, slots=True)
class Remote:
    """An opened remote in DVC's layout, always with `verify = true`.

    Attributes:
        odb: DVC's own object store at `url`.
    """

    url: str
    odb: Any

    @property
    def shown(self) -> str:
        """The address for people and reports."""
        return without_password(self.url)

    @property
    def bucket(self) -> str | None:
        parts = urlsplit(self.url)
        return parts.netloc if parts.scheme == "gs" else None

    @property
    def is_local(self) -> bool:
        return "://" not in self.url

    def where(self, oid: str) -> str:
        """The address of one object, as its owner would type it."""
        return address_of(self.odb, oid)

    def expect_access(self, *, writing: bool = False, may_be_new: bool = False) -> None:
        """Ask once, and say in one line what is wrong, before anything is moved.

        Args:
            writing: Make a folder that is not there.
            may_be_new: Take a folder that is not there for an empty one.

        Raises:
            RemoteError: No access, no such bucket or folder, or nobody answers.
        """
        with self.explained():
            if self.bucket is not None:
                buckets.expect_access(self.odb.fs, self.bucket)
            elif self.is_local and writing:
                _make(Path(self.url))
                if not os.access(self.url, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.url)
            elif self.is_local and not (may_be_new or Path(self.url).is_dir()):
                raise RemoteError(
                    f"there is no folder `{self.url}`", hint="mend `data.remote`, or connect the disk that it is on"
                )

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say what went wrong at the other end instead of showing whose exception it was; in the main thread only."""
        try:
            with talk.quiet():
                yield
        except (MltoolError, LocalDiskError):
            raise
        except Exception as error:
            known = explanation(error, self.url)
            if known is None:
                raise
            raise known from error


def open_remote(url: str, project: Path) -> Remote:
    """The remote that `data.remote` names.

    Args:
        project: Where a relative folder is meant from, unless there is one of that name in the current folder.

    Raises:
        ConfigError: The form of the address is not known, or what DVC needs for it is not installed.
    """
    if "://" not in url and not Path(url).exists():
        url = str(project / url)
    return opened({"url": url if "://" in url else str(Path(url).resolve())})


def opened(settings: Mapping[str, Any]) -> Remote:
    """The remote with these settings of DVC (`url`, `credentialpath`, `endpointurl` and so on).

    Raises:
        ConfigError: The form of the address is not known, or what DVC needs for it is not installed.
    """
    talk.prepare(settings.get("endpointurl"))
    from dvc.config import ConfigError as DvcConfigError
    from dvc.fs import get_cloud_fs
    from dvc_data.hashfile.db import get_odb
    from dvc_objects.fs.errors import RemoteMissingDepsError

    url = str(settings["url"])
    try:
        cls, config, path = get_cloud_fs({}, **{**with_emulator(settings), "verify": True})
        fs = cls(**config)
    except (ImportError, RemoteMissingDepsError) as error:
        scheme = urlsplit(url).scheme
        raise ConfigError(
            f"`{without_password(url)}` needs `dvc-{scheme}`", hint=f"install it with `pip install dvc-{scheme}`"
        ) from error
    except DvcConfigError as error:
        raise ConfigError(
            f"`{without_password(url)}` is no remote that DVC knows",
            hint="give `data.remote=FOLDER` or `data.remote=gs://BUCKET/PATH`",
        ) from error
    return Remote(url, get_odb(fs, fs.join(path, "files", "md5"), hash_name="md5", **config))


def address_of(odb: Any, oid: str) -> str:
    path = str(odb.oid_to_path(oid))
    return path if odb.fs.protocol == "local" else without_password(str(odb.fs.unstrip_protocol(path)))


def kept_in(odb: Any, oids: Iterable[str]) -> set[str]:
    """Which objects are there. For a folder DVC would hash each, and delete what is damaged, when it is only asked."""
    unique = set(oids)
    if odb.fs.protocol == "local":
        return {oid for oid in unique if Path(odb.oid_to_path(oid)).is_file()}
    return set(odb.oids_exist(list(unique))) if unique else set()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # a parent can neither be found nor made, as below /proc
        raise PermissionError(errno.EACCES, "it cannot be made", str(folder)) from error


def with_emulator(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a remote, pointed at the storage emulator if there is one; for this run only."""
    address = talk.emulator()
    if address is None or urlsplit(str(settings["url"])).scheme != "gs":
        return dict(settings)
    return {"endpointurl": address, "allow_anonymous_login": True, **settings}


def explanation(error: BaseException, url: str) -> MltoolError | None:
    """What an exception of DVC, or of the libraries below it, means for a remote; None for one that is not known."""
    shown = without_password(url)
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".").replace(url, shown)
    module, number = type(error).__module__, getattr(error, "errno", None)
    refused = buckets.refusal(error)
    if refused is not None:
        return RemoteError(f"no access to `{shown}`: {refused}", hint=buckets.LOGIN)
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = getattr(error, "strerror", None) or first
        return RemoteError(
            f"no access to `{shown}`: {reason}", hint="ask its owner for the right to read and write there"
        )
    if number in (errno.ENOSPC, errno.EDQUOT):
        return RemoteError(f"there is no space left in `{shown}`", hint="free some, or give another `data.remote`")
    if isinstance(error, NotADirectoryError | FileExistsError):
        return RemoteError(
            f"`{shown}` cannot be used: a file stands where a folder is needed", hint="mend `data.remote`"
        )
    if isinstance(error, ConnectionError | TimeoutError) or module.startswith("aiohttp"):
        return RemoteError(f"`{shown}` cannot be reached: {first}", hint="look at the network, and try again")
    if module.startswith("gcsfs"):
        return RemoteError(f"`{shown}` refused: {first}", hint="try again; what was moved stays moved")
    return None
