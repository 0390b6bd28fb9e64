"""The public verbs, in the groups of the road; each reads its config, opens the store and calls one stage.

A config is checked before anything heavy loads, so every stage is imported inside its verb.
"""

from __future__ import annotations

from mltool.verbs import data, deploy, models
from mltool.verbs.model import Model
from mltool.verbs.optimise import compile_model, profile, quantize
from mltool.verbs.ship import serve
from mltool.verbs.start import import_model, load, save
from mltool.verbs.training import evaluate, predict, train

__all__ = [
    "Model",
    "compile_model",
    "data",
    "deploy",
    "evaluate",
    "import_model",
    "load",
    "models",
    "predict",
    "profile",
    "quantize",
    "save",
    "serve",
    "train",
]
