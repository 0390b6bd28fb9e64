"""The config of each verb."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mltool.core.config.load import Resolved, resolve
from mltool.stages.compile_.config import CompileConfig, CompileJob
from mltool.stages.data.config import DataJob, MoveJob
from mltool.stages.deploy.config import DockerJob, GcpJob, LocalJob
from mltool.stages.evaluate.config import EvaluateJob
from mltool.stages.gcp.config import EmulateJob
from mltool.stages.import_.config import ImportJob
from mltool.stages.monitor.config import DriftJob, MonitorConfig, ReportJob, RobustnessJob
from mltool.stages.predict.config import PredictJob
from mltool.stages.profile.config import ProfileJob
from mltool.stages.quantize.config import QuantizeConfig, QuantizeJob
from mltool.stages.serve.config import ServeJob
from mltool.stages.train.config import TrainJob
from mltool.stages.tune.config import TuneJob


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob(TrainJob):
    """All that the steps of `mltool run` read; it stands here because no stage may know another."""

    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    compile: CompileConfig = field(default_factory=CompileConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)


JOBS: Mapping[str, tuple[type[Any], str]] = {
    "train": (TrainJob, "train"),
    "run": (RunJob, "train"),
    "tune": (TuneJob, "tune"),
    "import": (ImportJob, "model"),
    "evaluate": (EvaluateJob, ""),
    "predict": (PredictJob, ""),
    "data add": (DataJob, "data"),
    "data list": (MoveJob, "data"),
    "data push": (MoveJob, "data"),
    "data pull": (MoveJob, "data"),
    "profile": (ProfileJob, ""),
    "quantize": (QuantizeJob, "quantize"),
    "compile": (CompileJob, "compile"),
    "serve": (ServeJob, "serve"),
    "deploy local": (LocalJob, "serve"),
    "deploy docker": (DockerJob, "deploy"),
    "monitor drift": (DriftJob, "monitor"),
    "monitor robustness": (RobustnessJob, "monitor"),
    "monitor report": (ReportJob, "monitor"),
    "deploy gcp": (GcpJob, "gcp"),
    "gcp emulate": (EmulateJob, "emulate"),
}
"""The config of each verb, and the section whose fields may be written without it."""


def resolved(verb: str, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None) -> Resolved[Any]:
    """The config that `verb` would run with, and where each value comes from.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is out of range.
    """
    job, own = JOBS[verb]
    plan = resolve(job, own, overrides, values)
    hydra = getattr(plan.config, "hydra", None)
    if hydra is None or hydra == type(hydra)():
        return plan
    from mltool.integrations.hydra_source import read_unresolved, settings_of

    # As they were written: Hydra resolves them itself, and sees what comes from the environment.
    hydra = dataclasses.replace(hydra, overrides=read_unresolved(plan.values["hydra.overrides"]))
    sections = {field.name for field in dataclasses.fields(job)}
    return resolve(job, own, overrides, values, below=settings_of(hydra, sections))
