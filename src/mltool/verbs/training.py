"""Train, measure and ask a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.core.errors import ConfigError
from mltool.verbs.jobs import resolved
from mltool.verbs.model import Model

if TYPE_CHECKING:
    from mltool.stages.evaluate.stage import Evaluation
    from mltool.stages.tune.result import Tuned


def train(*overrides: str, resume: bool = False, **values: Any) -> Model:
    """Train a model and verify its export.

    Args:
        overrides: `KEY=VALUE` tokens, as on the command line.
        resume: Continue the newest unfinished run with this config, if there is one.
        values: The same as keywords: `epochs=5, data={"source": "iris.csv"}`.
    """
    plan = resolved("train", overrides, values)
    from mltool.stages.train import stage

    return Model.of(stage.train(plan, open_store(), resume=resume))


def tune(*overrides: str, resume: bool = False, **values: Any) -> Tuned:
    """Search for the config that trains best: many trainings, of which the bad ones are stopped early.

    Args:
        overrides: `KEY=VALUE` tokens, such as `space.lr=1e-4..1e-1:log` and `train.epochs=10`.
        resume: Go on with the newest unfinished study of the same search, or with that of `study=`.
        values: The same as keywords: `trials=50, space={"lr": "1e-4..1e-1:log", "batch_size": [32, 64]}`.
    """
    plan = resolved("tune", overrides, values)
    from mltool.stages.tune import stage

    return stage.tune(plan, open_store(), resume=resume)


def plan_tune(*overrides: str, **values: Any) -> dict[str, Any]:
    """What `tune` would search, as plain data; nothing is read or written."""
    job = resolved("tune", overrides, values).config
    from mltool.stages.tune.space import plan_of

    return plan_of(job)


def evaluate(ref: str = "latest", *overrides: str, **values: Any) -> Evaluation:
    """Metrics with confidence intervals on a split of the dataset the model was made with; needs no torch."""
    plan = resolved("evaluate", overrides, values)
    from mltool.stages.evaluate import stage

    store = open_store()
    return stage.evaluate(store.find(ref, ArtifactKind.model), plan.config, store)


def predict(ref: str = "latest", *overrides: str, **values: Any) -> list[dict[str, Any]]:
    """Answer for the records in a file, `input=FILE`; needs no torch."""
    plan = resolved("predict", overrides, values)
    if plan.config.input is None:
        raise ConfigError("there is nothing to predict", hint="give `input=FILE`, or `input=-` for standard input")
    from mltool.stages.predict import stage

    return list(stage.predict(open_store().find(ref, ArtifactKind.model), plan.config, None))
