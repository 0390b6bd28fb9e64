"""What `train`, `import` and `save` hand over to be packaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import Parent
from mltool.datasets.columns import Columns
from mltool.datasets.schema import Schema
from mltool.modeling.tasks.task import Task
from mltool.runtimes.runner import Signature

METRICS_ORDER = ("test", "validation", "train", "samples")
REFERENCE_ORDER = ("validation", "test", "train", "samples")


class Form(Protocol):
    """A model in memory: a torch network, or a graph that was made elsewhere."""

    weights_file: str | None
    """The file whose digest is the digest of the weights; None if the weights are only in the graph."""

    def input_names(self, schema: Schema) -> list[str]:
        """What the graph's inputs are called, in the order of the schema's inputs."""

    def answer(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The reference outputs by name for raw inputs in the order of the schema; axis 0 is the sample."""

    def write(self, folder: Path, signature: Signature, example: Sequence[np.ndarray]) -> Check:
        """Write the weights and the graph, and return the check `export`.

        Args:
            example: Two samples of every input.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A model with everything that is known of it.

    Attributes:
        schema: Of the data; the model's own has the input names of its graph.
        splits: Columns by split: `train`, `validation` and `test`, or only `samples`.
        is_labelled: Whether the targets of the splits are real.
        config: The resolved config, as it is stored.
        rebuild: What is needed to build the network again; empty for a graph.
    """

    form: Form
    task: Task
    schema: Schema
    splits: Mapping[str, Columns]
    config: Mapping[str, Any]
    rebuild: Mapping[str, Any] = field(default_factory=dict)
    is_labelled: bool = True
    history: Sequence[Mapping[str, Any]] = ()
    parents: Sequence[Parent] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics_split(self) -> str:
        """The split that says how good the model is: the test, else the nearest to it that has rows."""
        return self._first(METRICS_ORDER)

    @property
    def reference_split(self) -> str:
        """The split whose outputs are the reference: one that the weights were not fitted on, where there is one."""
        return self._first(REFERENCE_ORDER)

    def _first(self, order: Sequence[str]) -> str:
        return next(name for name in order if name in self.splits and len(self.splits[name]))
