"""The public verbs, in the groups of the road; each reads its config, opens the store and calls one stage.

A config is checked before anything heavy loads, so every stage is imported inside its verb.
"""

from __future__ import annotations

from mltool.verbs import data, deploy, gcp, models, monitor
from mltool.verbs.model import Model
from mltool.verbs.optimise import compile_model, profile, quantize
from mltool.verbs.project import checklist, doctor
from mltool.verbs.road import run
from mltool.verbs.ship import serve
from mltool.verbs.start import import_model, load, save
from mltool.verbs.training import evaluate, predict, train, tune

__all__ = [
    "Model",
    "checklist",
    "compile_model",
    "data",
    "deploy",
    "doctor",
    "evaluate",
    "gcp",
    "import_model",
    "load",
    "models",
    "monitor",
    "predict",
    "profile",
    "quantize",
    "run",
    "save",
    "serve",
    "train",
    "tune",
]
