"""Google Cloud, beside what is deployed to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mltool.artifacts.store import open_store
from mltool.verbs.jobs import resolved

if TYPE_CHECKING:
    from mltool.stages.gcp.emulate import Endpoints

__all__ = ["emulate"]


def emulate(*overrides: str, on_ready: Callable[[Endpoints], None] | None = None, **values: Any) -> None:
    """Stand in for Google Cloud on this machine, until SIGTERM or Ctrl-C.

    Args:
        on_ready: Called with where it answers, once it does.
    """
    job = resolved("gcp emulate", overrides, values).config
    from mltool.stages.gcp import emulate as stage

    stage.emulate(job, open_store().root, on_ready or (lambda _: None))
