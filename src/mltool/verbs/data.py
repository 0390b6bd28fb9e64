"""Datasets: decoded once, read by every later step."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

from mltool.artifacts import inventory
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.inventory import Row
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.verbs.jobs import resolved

__all__ = ["add", "list", "load", "page", "plan", "rm", "show"]


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
    return store.forget(ref, ArtifactKind.dataset) or store.remove(store.find(ref, ArtifactKind.dataset))


def _opened(dataset: Artifact | str) -> Artifact:
    return load(dataset) if isinstance(dataset, str) else dataset


def list() -> builtins.list[Row]:  # noqa: A001  # `mltool.data.list()`, as on the command line
    """Every dataset of this project, oldest first."""
    return inventory.rows(open_store(), ArtifactKind.dataset)
