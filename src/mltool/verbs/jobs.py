"""The config of each verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mltool.core.config.load import Resolved, resolve
from mltool.stages.compile_.config import CompileJob
from mltool.stages.data.config import DataJob
from mltool.stages.deploy.config import DockerJob, LocalJob
from mltool.stages.evaluate.config import EvaluateJob
from mltool.stages.import_.config import ImportJob
from mltool.stages.predict.config import PredictJob
from mltool.stages.profile.config import ProfileJob
from mltool.stages.quantize.config import QuantizeJob
from mltool.stages.serve.config import ServeJob
from mltool.stages.train.config import TrainJob

JOBS: Mapping[str, tuple[type[Any], str]] = {
    "train": (TrainJob, "train"),
    "import": (ImportJob, "model"),
    "evaluate": (EvaluateJob, ""),
    "predict": (PredictJob, ""),
    "data add": (DataJob, "data"),
    "profile": (ProfileJob, ""),
    "quantize": (QuantizeJob, "quantize"),
    "compile": (CompileJob, "compile"),
    "serve": (ServeJob, "serve"),
    "deploy local": (LocalJob, "serve"),
    "deploy docker": (DockerJob, "deploy"),
}
"""The config of each verb, and the section whose fields may be written without it."""


def resolved(verb: str, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None) -> Resolved[Any]:
    """The config that `verb` would run with, and where each value comes from.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is out of range.
    """
    job, own = JOBS[verb]
    return resolve(job, own, overrides, values)
