"""The whole road at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mltool.artifacts.store import open_store
from mltool.core.config.load import WHOLE, Resolved
from mltool.core.config.settings import FILE_NAME, find_project
from mltool.verbs.jobs import resolved

if TYPE_CHECKING:
    from mltool.stages.run.stage import Plan, Road

_PATHS = ("data.source", "data.test")
_BARE = re.compile(r"(?!(null|none)$)[\w.+-]+", re.IGNORECASE)
"""Texts that need no quotes in a list."""


def run(*overrides: str, quiet: bool = False, **values: Any) -> Road:
    """Data, training, variants, profile, robustness, and one page; what has not changed is not done again.

    Args:
        overrides: `KEY=VALUE` tokens of any of these steps, as on the command line.
        quiet: Keep the steps from saying what they do.
    """
    plan = _plan(overrides, values)
    from mltool.stages.run import stage

    return stage.run(plan, open_store(), quiet=quiet)


def plan_run(*overrides: str, **values: Any) -> dict[str, Any]:
    """What `run` would do, as plain data; nothing is written."""
    plan = _plan(overrides, values)
    from mltool.stages.run import stage

    return stage.preview(plan)


def _plan(overrides: Sequence[str], values: Mapping[str, Any]) -> Plan:
    found = resolved("run", overrides, values)
    from mltool.stages.run import stage

    return stage.plan_of(found.config, _written(found), set(found.origins))


def _written(found: Resolved[Any]) -> dict[str, list[str]]:
    """The settings by section that stand in no file, as tokens: a step would not know of them otherwise."""
    tokens: dict[str, list[str]] = {}
    for key, origin in found.origins.items():
        if origin.startswith(f"{FILE_NAME}:"):
            continue
        value = found.values[key]
        if key in _PATHS and Path(str(value)).exists():
            value = os.path.relpath(value, find_project())  # the steps run in the project, wherever this was typed
        tokens.setdefault(key.partition(".")[0], []).extend(_tokens(key, value))
    return tokens


def _tokens(key: str, value: Any, *, is_entry: bool = False) -> Iterator[str]:
    """`KEY=VALUE` that a step reads as just this value."""
    from mltool.core.config import plain

    if isinstance(value, Mapping):
        # What holds `${…}` is read by itself: within other text, its value would be a part of that text.
        alone = {name: one for name, one in value.items() if WHOLE in value or "${" in plain.dump(one)}
        whole = alone.pop(WHOLE, None)
        others = {name: one for name, one in value.items() if name not in alone}
        yield f"{key}={plain.dump(others) if whole is None else whole}"
        for name, one in alone.items():
            yield from _tokens(f"{key}.{name}", one, is_entry=True)
    elif is_entry and not (isinstance(value, str) and "${" in value):
        yield f"{key}={plain.dump(value)}"  # it may be of any type
    else:
        yield f"{key}={_text(value)}"


def _text(value: Any) -> str:
    """A value of a field, whose type is known to its reader."""
    from mltool.core.config import plain

    if isinstance(value, tuple | list):
        parts = list(map(_text, value))
        return ",".join(parts) if parts and all(map(_BARE.fullmatch, parts)) else plain.dump(list(value))
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
