"""Datasets: decoded once, read by every later step."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mltool.artifacts import inventory, pointers
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.inventory import Row
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.verbs.jobs import resolved

if TYPE_CHECKING:
    from mltool.integrations.dvc.tracked import TrackedOut
    from mltool.stages.data.moved import Moved

__all__ = [
    "add", "in_remote", "list", "load", "page", "plan", "plan_push", "pull", "push", "rm", "show", "tracked",
]  # fmt: skip


def add(*overrides: str, **values: Any) -> Artifact:
    """Decode a source once into a dataset artifact."""
    job = resolved("data add", overrides, values).config
    from mltool.stages.data import stage

    return stage.add(job, open_store())


def plan(*overrides: str, **values: Any) -> dict[str, Any]:
    """What `add` would decode, as plain data; nothing is written."""
    job = resolved("data add", overrides, values).config
    from mltool.stages.data import stage

    return stage.plan_of(job, open_store())


def load(ref: str = "latest") -> Artifact:
    """Open a dataset by path, digest prefix, `name`, `name@3` or `latest`."""
    return open_store().find(ref, ArtifactKind.dataset)


def show(dataset: Artifact | str = "latest") -> dict[str, Any]:
    """Rows, columns, classes, notes and damage of a dataset, as plain data."""
    from mltool.stages.data import stage

    return stage.show(_opened(dataset))


def page(dataset: Artifact | str = "latest") -> Path:
    """Write the HTML page of a dataset, and return where it is."""
    from mltool.stages.data import stage

    return stage.write_page(_opened(dataset), open_store())


def rm(ref: str) -> builtins.list[str]:
    """Delete a dataset and its names, and return the names; its source stays as it is."""
    store = open_store()
    before = {version.digest for _, version in store.refs.all(ArtifactKind.dataset)}
    names = store.forget(ref, ArtifactKind.dataset) or store.remove(store.find(ref, ArtifactKind.dataset))
    for gone in before - {version.digest for _, version in store.refs.all(ArtifactKind.dataset)}:
        pointers.remove(store, gone)
    return names


def _opened(dataset: Artifact | str) -> Artifact:
    return load(dataset) if isinstance(dataset, str) else dataset


def list() -> builtins.list[Row]:  # noqa: A001  # `mltool.data.list()`, as on the command line
    """Every dataset of this project, oldest first."""
    return inventory.rows(open_store(), ArtifactKind.dataset)


def push(ref: str | None = None, *overrides: str, **values: Any) -> Moved:
    """Send datasets to `data.remote`, and what the project tracks with DVC to where DVC keeps it.

    Args:
        ref: One dataset; None for the newest of each name, and all that is tracked.
    """
    config = resolved("data push", overrides, values).config.data
    from mltool.stages.data import push as stage

    return stage.push(ref, config, open_store())


def plan_push(ref: str | None = None, *overrides: str, **values: Any) -> dict[str, Any]:
    """What `push` would send, as plain data; the remote is asked what it holds, and nothing is written."""
    config = resolved("data push", overrides, values).config.data
    from mltool.stages.data import push as stage

    return stage.plan(ref, config, open_store())


def pull(ref: str | None = None, *overrides: str, **values: Any) -> Moved:
    """Fetch datasets that were pushed, and what the project tracks with DVC; all is compared with its hashes.

    Args:
        ref: One dataset; None for the newest of each name that was pushed, and all that is tracked.
    """
    config = resolved("data pull", overrides, values).config.data
    from mltool.stages.data import pull as stage

    return stage.pull(ref, config, open_store())


def tracked() -> builtins.list[TrackedOut]:
    """The files and folders that the project tracks with DVC."""
    from mltool.stages.data import places

    return places.tracked_here()


def in_remote(*overrides: str, **values: Any) -> builtins.list[str]:
    """The datasets, by their digest, and the tracked files, by their MD5, that their remotes hold now."""
    config = resolved("data list", overrides, values).config.data
    from mltool.stages.data import places

    return places.in_remote(config, open_store())
