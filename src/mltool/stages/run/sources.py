"""The files of a project that a step reads: data where it lies, and the modules that import paths lead to."""

from __future__ import annotations

from pathlib import Path

from mltool.datasets.config import DataConfig
from mltool.modeling.code_files import code_files
from mltool.modeling.config import ModelConfig, TaskConfig


def of_data(data: DataConfig, project: Path) -> list[Path]:
    """What `data.source`, `data.test` or `data.target` reads; an embedded set reads nothing of the project."""
    if data.target is not None:
        return code_files([data.target], project)
    paths = [Path(text).absolute() for text in (data.source, data.test) if text is not None]
    return [path for path in paths if path.exists()]


def of_training(model: ModelConfig, task: TaskConfig, project: Path) -> list[Path]:
    """The code of the network, the loss and the metric."""
    return code_files([text for text in (model.target, task.loss, task.metric) if text], project)
