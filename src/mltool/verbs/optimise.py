"""Smaller and faster models that still answer as they did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.verbs.jobs import resolved

if TYPE_CHECKING:
    from mltool.variants.variant import Variant


def quantize(ref: str = "latest", *overrides: str, **values: Any) -> Variant:
    """Shrink a model, and check that it still works and that it pays; else the model stays."""
    job = resolved("quantize", overrides, values).config
    from mltool.stages.quantize import stage

    store = open_store()
    return stage.quantize(store.find(ref, ArtifactKind.model), job, store)


def compile_model(ref: str = "latest", *overrides: str, **values: Any) -> Variant:
    """Find the fastest way to run a model on this host that still answers as it did; if none pays, the model stays."""
    job = resolved("compile", overrides, values).config
    from mltool.stages.compile_ import stage

    store = open_store()
    return stage.compile_model(store.find(ref, ArtifactKind.model), job, store)
