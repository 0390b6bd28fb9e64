"""Models: look at them, and tidy up."""

from __future__ import annotations

import builtins
from pathlib import Path

from mltool.artifacts import garbage as store_garbage
from mltool.artifacts import inventory
from mltool.artifacts.inventory import Comparison, Descent, Row
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store

__all__ = ["compare", "garbage", "gc", "list", "rm", "show"]


def list() -> builtins.list[Row]:  # noqa: A001  # `mltool.models.list()`, as on the command line
    """Every model of this project, oldest first; failed candidates, which have no name, are among them."""
    return inventory.rows(open_store(), ArtifactKind.model)


def show(ref: str = "latest") -> Descent:
    """A model with where it comes from and what was proved of it later."""
    store = open_store()
    return inventory.descent(store, store.find(ref, ArtifactKind.model))


def compare(first: str, second: str) -> Comparison:
    """Metrics, size and config of two models, side by side."""
    store = open_store()
    return Comparison(*(store.find(ref, ArtifactKind.model) for ref in (first, second)))


def rm(ref: str) -> builtins.list[str]:
    """Delete a model and its names, and return the names."""
    store = open_store()
    return store.forget(ref, ArtifactKind.model) or store.remove(store.find(ref, ArtifactKind.model))


def garbage() -> builtins.list[Path]:
    """What nothing refers to: unnamed artifacts, and unfinished or damaged ones."""
    return store_garbage.garbage(open_store())


def gc(found: builtins.list[Path] | None = None) -> int:
    """Delete what `garbage` listed, by default what it lists now, and return the bytes won."""
    store = open_store()
    return store_garbage.collect(store, store_garbage.garbage(store) if found is None else found)
