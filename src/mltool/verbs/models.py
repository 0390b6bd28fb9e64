"""Models: look at them, and tidy up."""

from __future__ import annotations

import builtins
from pathlib import Path

from mltool.artifacts import garbage as store_garbage
from mltool.artifacts import inventory
from mltool.artifacts.inventory import Comparison, Descent, Row
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.records.ledger import Ledger

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
    """Delete a model and its names, and return the names; one that is deployed is refused."""
    store = open_store()
    forgotten = store.forget(ref, ArtifactKind.model)
    if forgotten:
        return forgotten
    model = store.find(ref, ArtifactKind.model)
    Ledger(store.root).expect_unused(model)
    return store.remove(model)


def garbage() -> builtins.list[Path]:
    """What nothing refers to: unnamed artifacts, and unfinished or damaged ones; what is deployed is not among them."""
    store = open_store()
    return store_garbage.garbage(store, Ledger(store.root).returnable())


def gc(found: builtins.list[Path] | None = None) -> int:
    """Delete what `garbage` listed, by default what it lists now, and return the bytes won."""
    store = open_store()
    in_use = Ledger(store.root).returnable()
    return store_garbage.collect(store, store_garbage.garbage(store, in_use) if found is None else found, in_use)
