"""The places that data is kept in: a remote for datasets, and what the project's own DVC knows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from mltool.artifacts import pointers
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.settings import find_project
from mltool.core.dvc_config import without_password
from mltool.core.errors import MltoolError
from mltool.datasets.config import DataConfig
from mltool.integrations.dvc import objects
from mltool.integrations.dvc.remote import Remote, open_remote
from mltool.integrations.dvc.tracked import Tracked, TrackedOut, is_tracked
from mltool.integrations.dvc.words import no_remote


class Places:
    """Where the data of this project goes and comes from."""

    def __init__(self, config: DataConfig) -> None:
        self._url = config.remote
        self.project = find_project()

    @cached_property
    def tracked(self) -> Tracked | None:
        """The project's own DVC, if it has one."""
        return Tracked(self.project, self._url) if is_tracked(self.project) else None

    @cached_property
    def remote(self) -> Remote:
        """`data.remote`, else the default remote of the project's own DVC.

        Raises:
            ConfigError: There is none, or its address has a form that is not known.
        """
        if self._url is not None:
            return open_remote(self._url, self.project)
        remote = self.tracked.default_remote() if self.tracked else None
        if remote is None:
            raise no_remote()
        return remote

    def outs(self) -> list[TrackedOut]:
        """All that the project tracks and has a hash for."""
        return [out for out in self.tracked.outs() if out.md5] if self.tracked else []

    def outs_of(self, facts: Mapping[str, Any]) -> list[TrackedOut]:
        """What the source of a dataset lies in: by its hash, else by the name of its pointer."""
        md5, name = facts.get("dvc_md5"), facts.get("dvc_file")
        outs = self.outs() if name else []
        return [out for out in outs if out.md5 == md5] or [out for out in outs if out.pointer.name == name]

    def push_tracked(self, outs: list[TrackedOut]) -> int:
        return self.tracked.push(outs) if self.tracked and outs else 0

    def pull_tracked(self, outs: list[TrackedOut]) -> int:
        if not self.tracked or not outs:
            return 0
        if self.tracked.without_verify:
            names = ", ".join(f"`{name}`" for name in self.tracked.without_verify)
            events.info(
                f"the remote {names} has no `verify = true`; what arrives is compared with its hashes all the same"
            )
        return self.tracked.pull(outs)

    def tracked_url(self, outs: list[TrackedOut]) -> str | None:
        """The address of DVC's default remote, for people and reports."""
        url = self.tracked.url if self.tracked and outs else None
        return without_password(url) if url else None


def newest(store: Store) -> list[str]:
    """The newest version of every dataset that has a name, such as `digits@3`."""
    names = store.refs.names(ArtifactKind.dataset)
    return [f"{name}@{store.refs.versions(ArtifactKind.dataset, name)[-1].version}" for name in names]


def tracked_here() -> list[TrackedOut]:
    """All that the project tracks; what DVC cannot read is warned of, so that the rest is listed all the same."""
    try:
        return Places(DataConfig()).outs()
    except MltoolError as error:
        events.warning(f"{error.message}; {error.hint}")
        return []


def in_remote(config: DataConfig, store: Store) -> list[str]:
    """The digests of datasets and the MD5s of tracked files that the remotes hold now."""
    places = Places(config)
    digests = {version.digest for _, version in store.refs.all(ArtifactKind.dataset)}
    known = {full: pointer.oid for full in digests if (pointer := pointers.read(store, full)) is not None}
    found = []
    if known:
        places.remote.expect_access()
        kept = objects.holds(places.remote, known.values())
        found = sorted(full for full, oid in known.items() if oid in kept)
    outs = places.outs()
    if places.tracked and outs:
        found += sorted(str(out.md5) for out in outs if out.path in places.tracked.kept(outs))
    return found
