"""What models cost, and smaller and faster ones that still answer as they did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.core.config.settings import is_override
from mltool.core.errors import ConfigError
from mltool.verbs.jobs import resolved

if TYPE_CHECKING:
    from mltool.stages.profile.result import Profiles
    from mltool.variants.variant import Variant


def profile(*refs: str, **values: Any) -> Profiles:
    """Measure models side by side on this host: latency, throughput, size, memory and load time.

    Args:
        refs: Models, by default `latest`; the others are held against the first. `KEY=VALUE` tokens may be among them.
    """
    overrides = [token for token in refs if is_override(token)]
    job, store = resolved("profile", overrides, values).config, open_store()
    models = []
    for ref in [ref for ref in refs if not is_override(ref)] or ["latest"]:
        if "://" in ref:
            raise ConfigError(
                f"`{ref}` is a URL, and only models can be profiled yet",
                hint="give a reference: a path, digest, name, name@3 or latest",
            )
        models.append(store.find(ref, ArtifactKind.model))
    from mltool.stages.profile import stage

    return stage.profile(models, job, store)


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
