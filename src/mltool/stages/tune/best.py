"""The best config as a file that can stand as `mltool.yaml`, and as a command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mltool.core.config.load import Resolved
from mltool.core.config.show import with_origins
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.point import Point, as_tokens


def best_config(plan: Resolved[TuneJob], point: Point) -> Resolved[TuneJob]:
    """What was written of the config and shapes a model, and the values of a point over it."""
    written = {key: value for key, value in _stored(plan) if key in plan.origins and not key.startswith("tune.")}
    origins = {key: plan.origins[key] for key in written}
    for key, value in point.items():
        field = next(known for known in plan.values if key == known or key.startswith(f"{known}."))
        entry = key.removeprefix(field).removeprefix(".")
        written[field] = _with_entry(written.get(field, {}), entry.split("."), value) if entry else value
        origins[field] = "tuned"
    ordered = {key: written[key] for key in plan.values if key in written}
    return replace(plan, values=ordered, origins=origins)


def _stored(plan: Resolved[TuneJob]) -> Iterator[tuple[str, Any]]:
    """Every value that shapes a model, by key, as an artifact would keep it: no secret, and paths from the project."""
    for key in plan.values:
        value: Any = plan.stored
        for part in key.split("."):
            value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        if value is not _ABSENT:
            yield key, value


_ABSENT = object()


def _with_entry(mapping: Any, path: list[str], value: Any) -> dict[str, Any]:
    name, *rest = path
    inner = dict(mapping) if isinstance(mapping, Mapping) else {}
    return {**inner, name: _with_entry(inner.get(name), rest, value) if rest else value}


def as_yaml(best: Resolved[TuneJob], *comments: str) -> str:
    return "".join(f"# {comment}\n" for comment in comments) + with_origins(best) + "\n"


def train_command(plan: Resolved[TuneJob], best: Resolved[TuneJob], point: Point) -> str:
    """What trains with the best config here: what a file or a variable says, `mltool train` reads by itself."""
    typed = [key for key, origin in plan.origins.items() if "=" in origin or origin == "argument"]
    tokens = {key: best.values.get(key, plan.values[key]) for key in typed if not key.startswith("tune.")}
    flat = {leaf: value for key, given in tokens.items() for leaf, value in _leaves(key, given)}
    return " ".join(["mltool train", *as_tokens({**flat, **point})])


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner)
    else:
        yield key, value
