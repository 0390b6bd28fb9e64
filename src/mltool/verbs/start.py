"""The ways in for a model that is already trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.verbs.jobs import resolved
from mltool.verbs.model import Model

if TYPE_CHECKING:
    import torch


def load(ref: str = "latest") -> Model:
    """Open a model by path, digest prefix, `name`, `name@3` or `latest`."""
    return Model.of(open_store().find(ref, ArtifactKind.model))


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
