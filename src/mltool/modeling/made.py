"""What `train`, `import` and `save` hand over to be packaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from mltool.artifacts.manifest import Parent
from mltool.datasets.columns import Columns
from mltool.datasets.schema import Schema
from mltool.modeling.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A network with everything that is known of it.

    Attributes:
        schema: Of the data; the model's own has the input names of its graph.
        splits: Columns by split; `metrics_split` and `reference_split` name two of them.
        is_labelled: Whether the targets of the splits are real.
        config: The resolved config, as it is stored.
        rebuild: What is needed to build the network again: its kind, its import path, the digest of its source.
    """

    network: nn.Module
    preprocess: Sequence[nn.Module]
    task: Task
    schema: Schema
    splits: Mapping[str, Columns]
    config: Mapping[str, Any]
    rebuild: Mapping[str, Any]
    target_scale: tuple[float, float] = (0.0, 1.0)
    is_labelled: bool = True
    history: Sequence[Mapping[str, Any]] = ()
    parents: Sequence[Parent] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics_split(self) -> str:
        """The split that says how good the model is: the test, else the nearest to it that has rows."""
        return next(name for name in ("test", "validation", "train") if len(self.splits[name]))

    @property
    def reference_split(self) -> str:
        """The split whose outputs are the reference: one that the weights were not fitted on, where there is one."""
        return next(name for name in ("validation", "test", "train") if len(self.splits[name]))
