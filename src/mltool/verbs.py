"""The public verbs: each reads its config, opens the store and calls one stage.

A config is checked before anything heavy loads, so every stage is imported inside its verb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.core.config.load import Resolved, resolve
from mltool.core.errors import ConfigError
from mltool.stages.data.config import DataJob
from mltool.stages.evaluate.config import EvaluateJob
from mltool.stages.import_.config import ImportJob
from mltool.stages.predict.config import PredictJob
from mltool.stages.train.config import TrainJob

if TYPE_CHECKING:
    import torch

    from mltool.stages.evaluate.stage import Evaluation

JOBS: Mapping[str, tuple[type[Any], str]] = {
    "train": (TrainJob, "train"),
    "import": (ImportJob, "model"),
    "evaluate": (EvaluateJob, ""),
    "predict": (PredictJob, ""),
    "data add": (DataJob, "data"),
}
"""The config of each verb, and the section whose fields may be written without it."""


def resolved(verb: str, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None) -> Resolved[Any]:
    """The config that `verb` would run with, and where each value comes from.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is out of range.
    """
    job, own = JOBS[verb]
    return resolve(job, own, overrides, values)


@dataclass(frozen=True, repr=False)
class Model(Artifact):
    """A model artifact that answers."""

    def predict(self, records: Any, **values: Any) -> list[dict[str, Any]]:
        """Answer for records (dictionaries), arrays by input name, one array, or the path of a file.

        Args:
            values: Fields of `PredictJob`, such as `threads=1`.
        """
        from mltool.stages.predict import stage

        job = resolved("predict", values={**values, **({"input": str(records)} if _is_file(records) else {})}).config
        return list(stage.predict(self, job, None if _is_file(records) else records))

    def evaluate(self, **values: Any) -> Evaluation:
        """Metrics with confidence intervals on a split of the dataset the model was made with."""
        from mltool.stages.evaluate import stage

        return stage.evaluate(self, resolved("evaluate", values=values).config, open_store())

    @classmethod
    def of(cls, artifact: Artifact) -> Model:
        return cls(artifact.path, artifact.manifest, artifact.ref)


def _is_file(records: Any) -> bool:
    return isinstance(records, str | PathLike)


def load(ref: str = "latest") -> Model:
    """Open a model by path, digest prefix, `name`, `name@3` or `latest`."""
    return Model.of(open_store().find(ref, ArtifactKind.model))


def add_data(*overrides: str, **values: Any) -> Artifact:
    """Decode a source once into a dataset artifact."""
    plan = resolved("data add", overrides, values)
    from mltool.stages.data import stage

    return stage.add(plan, open_store())


def plan_data(*overrides: str, **values: Any) -> dict[str, Any]:
    """What `add_data` would decode, as plain data; nothing is written."""
    plan = resolved("data add", overrides, values)
    from mltool.stages.data import stage

    return stage.plan_of(plan, open_store())


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


def import_model(weights: str, *overrides: str, **values: Any) -> Model:
    """Make a verified model of trained weights (`.pt`, `.ckpt`, `.safetensors`) or of a graph (`.onnx`)."""
    plan = resolved("import", overrides, values)
    from mltool.stages.import_ import stage

    return Model.of(stage.import_model(weights, plan, open_store()))


def save(
    module: torch.nn.Module,
    sample_inputs: Any,
    sample_labels: Any = None,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
) -> Model:
    """Make a verified model of a module in memory, with two lines in your own script.

    Args:
        sample_inputs: A tensor or array whose axis 0 is the sample, or several by the names of `forward`; 64 or more
            make the checks strong.
        sample_labels: Class codes [N], or numbers [N] for a regression; without them the task metric is not run.
        classes: Names of the classes, in the order of their codes.
    """
    from mltool.stages.save import stage

    return Model.of(stage.save(module, sample_inputs, sample_labels, name=name, classes=classes, store=open_store()))


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
