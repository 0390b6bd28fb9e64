"""A point of a search: values by whole key of the config, such as `train.lr` and `model.args.hidden`."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any, TypeVar

from mltool.core.config import plain
from mltool.stages.tune.config import TuneJob

Point = dict[str, Any]
UNSAID = object()
"""What a config says of an argument that it does not give: its default is known to the network alone."""
ConfigT = TypeVar("ConfigT")


def short(key: str) -> str:
    """A key as it may be written for `mltool train`."""
    return key.removeprefix("train.")


def value_at(job: TuneJob, key: str) -> Any:
    """What the config says of a key, or `UNSAID`."""
    value: Any = job
    for part in key.split("."):
        value = value.get(part, UNSAID) if isinstance(value, Mapping) else getattr(value, part, UNSAID)
    return value


def at(job: TuneJob, point: Mapping[str, Any]) -> TuneJob:
    """The config with the values of a point."""
    for key, value in point.items():
        job = _replaced(job, key.split("."), value)
    return job


def _replaced(config: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    if isinstance(config, Mapping):
        return {**config, name: _replaced(config.get(name) or {}, rest, value) if rest else value}
    return dataclasses.replace(config, **{name: _replaced(getattr(config, name), rest, value) if rest else value})


def as_tokens(point: Mapping[str, Any]) -> list[str]:
    """`KEY=VALUE` for a shell."""
    return [shlex.quote(f"{short(key)}={plain.dump(value)}") for key, value in point.items()]
