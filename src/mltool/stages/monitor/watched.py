"""A model as it is watched: its reference, with what this very model answers to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mltool.artifacts.artifact import Artifact
from mltool.core import events
from mltool.core.errors import ArtifactError
from mltool.datasets.schema import Schema
from mltool.runtimes.runner import Runner, run_all
from mltool.statistics.drift import Detector, Drift
from mltool.statistics.reference import Reference

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Watched:
    """A detector that takes arrays by the names of the model's inputs.

    Attributes:
        row_names: What the reference calls each input: by the data, while a network of somebody else calls its inputs
            as it likes.
    """

    detector: Detector
    reference: Reference
    row_names: Mapping[str, str]

    def check(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], *, alpha: float, seed: int
    ) -> Drift:
        """As `Detector.check`."""
        return self.detector.check(self.renamed(inputs), outputs, alpha=alpha, seed=seed)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The rows of the reference, by the names of the model's inputs; none if it keeps none."""
        return {name: self.reference.rows[own] for name, own in self.row_names.items() if own in self.reference.rows}

    def renamed(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {self.row_names[name]: array for name, array in inputs.items()}


def watched(model: Artifact, schema: Schema, runner: Runner, batch_size: int) -> Watched:
    """Prepare a model's reference.

    What was answered to its rows is asked again: the runtime that answers now differs from the one of then in the last
    digits, which many equal answers (a probability of 1) turn into a difference that a test sees.

    Raises:
        ArtifactError: The model has no reference, or one that is damaged or keeps too few rows.
    """
    reference = Reference.load(model.path / REFERENCE)
    names = [spec.name for spec in runner.signature.inputs]
    if len(reference.rows) == len(names) and all(len(array) for array in reference.rows.values()):
        row_names = dict(zip(names, reference.rows, strict=True))
        rows = {name: reference.rows[row_name] for name, row_name in row_names.items()}
        reference = dataclasses.replace(reference, outputs=run_all(runner, rows, batch_size))
    else:
        row_names = dict(zip(names, names, strict=True))
    if reference.row_split == "train":
        events.warning(
            f"the reference of `{model.label}` is of the data it was trained on, so that its answers look surer than "
            "they are: an alarm may mean no more than that"
        )
    return Watched(_detector(model, reference, schema.target.classes), reference, row_names)


def _detector(model: Artifact, reference: Reference, classes: Sequence[str]) -> Detector:
    try:
        return Detector.of(reference, classes)
    except ValueError as error:
        raise ArtifactError(
            f"`{model.label}` cannot be watched: {error}",
            hint="make it again with more held-out data, such as a larger `data.validation_fraction`",
        ) from error
