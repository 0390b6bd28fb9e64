"""Models in use: whether what they are asked still looks like what they were made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.references import LATEST
from mltool.artifacts.store import open_store
from mltool.core.errors import ConfigError
from mltool.verbs.jobs import resolved

if TYPE_CHECKING:
    from mltool.core.config.load import Resolved
    from mltool.stages.monitor.drift import DriftFound
    from mltool.stages.monitor.ladder import Robustness
    from mltool.stages.monitor.report import Watching

__all__ = ["drift", "report", "robustness"]


def drift(ref: str | None = None, *overrides: str, **values: Any) -> DriftFound:
    """Compare a window of requests with the reference of a model.

    The window is `current`, a file that `predict` reads, a folder of pictures or a dataset; or the prediction log of
    `deployment`. An alarm is a finding, not an error: look at `alarm` of what comes back.

    Args:
        ref: The model; by default `latest`, and with a deployment the model that it runs.
    """
    config = resolved("monitor drift", overrides, values).config.monitor
    if config.current is None and config.deployment is None:
        raise ConfigError("there is nothing to look at", hint="give `current=FILE` or `deployment=NAME`")
    if config.current is not None and config.deployment is not None:
        raise ConfigError("a file and a deployment are two windows", hint="give `current` or `deployment`")
    if config.current is not None and (config.since or config.until):
        raise ConfigError("a file has no times, so `since` and `until` choose nothing", hint="give `deployment`")
    from mltool.stages.monitor import drift as stage

    store = open_store()
    if config.deployment is not None:
        return stage.in_deployment(ref, config, store)
    return stage.in_current(store.find(ref or LATEST, ArtifactKind.model), config, store)


def robustness(ref: str = "latest", *overrides: str, **values: Any) -> Robustness:
    """Run a model on damaged data of rising severity: what it costs, and after how many requests `drift` notices."""
    plan, store = resolved("monitor robustness", overrides, values), open_store()
    _expect_no(plan, "current", "deployment", "since", "until", why="a ladder is made of the model's own data")
    model = store.find(ref, ArtifactKind.model)
    from mltool.stages.monitor import robustness as stage

    return stage.robustness(model, plan.config, store)


def report(ref: str | None = None, *overrides: str, **values: Any) -> Watching:
    """Write one page about a model in service: its windows, its robustness, and what it was asked.

    Args:
        ref: The model; by default `latest`, and with `deployment=NAME` the model that it runs.
    """
    plan = resolved("monitor report", overrides, values)
    _expect_no(plan, "current", why="a page sums up the windows that were looked at")
    from mltool.stages.monitor import report as stage

    return stage.report(ref, plan.config.monitor, open_store())


def _expect_no(plan: Resolved[Any], *keys: str, why: str) -> None:
    """Refuse keys of other verbs that were given to this one; those of a file or of the environment are not meant."""
    for key in keys:
        origin = plan.origins.get(f"monitor.{key}", "")
        if origin == "argument" or "=" in origin:
            raise ConfigError(f"{why}, so `{key}` chooses nothing", hint="`mltool monitor drift` looks at a window")
