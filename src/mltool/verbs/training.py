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
