"""From a model to something that answers others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.verbs.jobs import resolved


def serve(
    ref: str = "latest", *overrides: str, on_ready: Callable[[str, str], None] | None = None, **values: Any
) -> None:
    """Answer over HTTP until SIGTERM or Ctrl-C, and then end what was begun.

    Args:
        on_ready: Called with the reference of the model and its address, once it answers.
    """
    job = resolved("serve", overrides, values).config
    from mltool.records.ledger import Ledger
    from mltool.stages.serve import stage

    store = open_store()
    stage.serve(store.find(ref, ArtifactKind.model), job, Ledger(store.root), on_ready)
