"""What is recorded of a network so that it can be built again, and the building."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import open_store
from mltool.core.config.load import expand
from mltool.core.config.settings import find_project
from mltool.core.errors import ArtifactError
from mltool.datasets.schema import Schema, schema_of
from mltool.modeling.code_files import code_files
from mltool.modeling.config import LOSSES, ModelConfig, TaskConfig
from mltool.modeling.network import default_network, make_network
from mltool.modeling.tasks.losses import NO_LOSS
from mltool.modeling.tasks.task import Task
from mltool.modeling.user_code import import_object


def recipe(config: ModelConfig, stored: Mapping[str, Any], schema: Schema, task: Task) -> dict[str, Any]:
    """Plain data from which `network_of` builds the network again.

    Args:
        stored: The config as it was written: what holds `${…}` is kept as that, so that no secret is stored.
    """
    own = config.target is not None
    written = stored.get("model", {})
    has_own_loss = task.loss_name not in (*LOSSES, NO_LOSS)
    return {
        "network": None if own else (config.name if config.name != "auto" else default_network(schema)),
        "target": written.get("target", config.target),
        "args": written.get("args", {}),
        "source_sha256": source_digest(config.target) if config.target is not None else None,
        "task": task.kind,
        "loss": stored["task"]["loss"] if has_own_loss else task.loss_name,
        "output_kind": task.output_kind,
        "inputs": [spec.name for spec in schema.inputs],
    }


def code_digests(model: ModelConfig, task: TaskConfig) -> dict[str, str | None]:
    """The digests of the user's own code that a training runs, with what it imports of the project, by config key."""
    paths = {"model.target": model.target, "task.metric": task.metric, "task.loss": task.loss}
    return {key: _code_digest(path, key) for key, path in paths.items() if path is not None and ":" in path}


def _code_digest(path: str, key: str) -> str | None:
    own, project = source_digest(path, key), find_project()
    files = {os.path.relpath(file, project): digest.of_file(file) for file in code_files([path], project)}
    # Alone, it has the digest that it always had: a run that was stopped before goes on.
    return digest.of_json([own, files]) if set(files.values()) - {own} else own


def source_digest(target: str, key: str = "model.target") -> str | None:
    """The digest of the file that defines what an import path names, or None if it has no file."""
    made_by = import_object(target, key)
    defined = made_by if inspect.isclass(made_by) or inspect.isroutine(made_by) else type(made_by)
    try:
        file = inspect.getsourcefile(inspect.unwrap(defined))
    except TypeError:
        return None
    return digest.of_file(Path(file)) if file and Path(file).is_file() else None


def network_of(model: Artifact) -> nn.Module:
    """Build the network of a model artifact, without its weights.

    Raises:
        ArtifactError: The model was imported as a graph, or saved from a module without an import path.
        ConfigError: The user's class is not at hand.
    """
    made_with: Mapping[str, Any] = model.config.get("rebuild", {})
    if not made_with.get("network") and not made_with.get("target"):
        raise ArtifactError(
            f"`{model.label}` has no module to build again, only its graph",
            hint="use `backend=onnxruntime`, or import it with `model.target=package.module:Class`",
        )
    # Before anything of it is called or looked up: an artifact from elsewhere may name any function and any variable.
    if made_with.get("target") and not open_store().holds(model):
        raise ArtifactError(
            f"`{model.path}` is not in this project's store, so the code that it names is not run",
            hint="use `backend=onnxruntime`, which runs no code",
        )
    made_with = expand(made_with)
    config = ModelConfig(
        name=made_with.get("network") or "auto", target=made_with.get("target"), args=dict(made_with.get("args", {}))
    )
    if config.target is not None and source_digest(config.target) != made_with.get("source_sha256"):
        raise ArtifactError(
            f"the source of `{config.target}` changed after `{model.label}` was made",
            hint="check out the commit it was made with, or use `backend=onnxruntime`, which needs no source",
        )
    return make_network(config, schema_of(model), seed=0)
