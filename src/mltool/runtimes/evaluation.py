"""A model's answers for the data it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import ArtifactError
from mltool.datasets.columns import Columns
from mltool.datasets.dataset import Dataset
from mltool.runtimes.measure import is_finite, metrics_of, task_of
from mltool.runtimes.runner import Runner, Whole
from mltool.runtimes.samples import SAMPLES, Samples

_BATCH_ROWS = 256


def dataset_of(model: Artifact, store: Store) -> Dataset:
    """The dataset that a model, or the float model it comes from, was made with.

    Raises:
        ArtifactError: The model has none, or it is not in this store.
    """
    parent = next((parent for parent in model.manifest.parents if parent.kind is ArtifactKind.dataset), None)
    if parent is None:
        raise ArtifactError(
            f"`{model.label}` was made without a dataset", hint="give one when importing: `data.source=…`"
        )
    try:
        return Dataset(store.find(parent.digest, ArtifactKind.dataset))
    except ArtifactError as error:
        raise ArtifactError(
            f"the dataset `{parent.name or parent.digest[:12]}` of `{model.label}` is not usable: {error.message}",
            hint="make it again with `mltool data add`",
        ) from error


def answers(runner: Runner, columns: Columns, batch_size: int, task: str) -> dict[str, npt.NDArray[Any]]:
    """The outputs for all rows of a split; `task` names the work for whoever watches it."""
    names = [spec.name for spec in runner.signature.inputs]
    outputs = Whole(len(columns))
    with events.track(task, len(columns), "samples") as bar:
        for inputs, target_N in columns.batches(batch_size):
            outputs.write(bar.done, runner.run(dict(zip(names, inputs.values(), strict=True))))
            bar.advance(len(target_N))
    return outputs.arrays


def metrics_on_its_split(model: Artifact, runner: Runner, store: Store) -> tuple[dict[str, float], str]:
    """The metrics of another way to run `model`, on the split that the model's own are of, and its name.

    Where the data is not at hand, on the samples that the model carries.
    """
    split = str(model.manifest.facts.get("metrics_split", "samples"))
    try:
        columns = dataset_of(model, store).split(split)
        outputs: Mapping[str, npt.NDArray[Any]] = answers(runner, columns, _BATCH_ROWS, f"measure {model.label}")
        target_N = np.asarray(columns.target)
    except ArtifactError:
        samples = Samples.load(model.path / SAMPLES)
        outputs, split = runner.run(samples.inputs), "samples"
        if samples.target is None:
            return {}, split
        target_N = samples.target
    return (metrics_of(task_of(model), outputs, target_N) if is_finite(outputs) else {}), split
