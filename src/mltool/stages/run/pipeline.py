"""The road as a `dvc.yaml`: each step is a command that anybody could type, and DVC decides what to do again."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.core.config.settings import FILE_NAME
from mltool.core.errors import ConfigError

FOLDER = "road"
FILE = "dvc.yaml"
_HEAD = (
    "# The road that `mltool run` takes; `dvc repro` in this folder takes it too.\n"
    "# Once you edit this file, it is run as it stands. Delete it to have it written anew.\n"
)
_SEAL = "# as written: "
_UP = "cd .. && "


@dataclass(frozen=True, slots=True)
class Step:
    """One command, what it needs, and the sections of the config that it reads."""

    name: str
    verb: str
    needs: tuple[str, ...] = ()
    """Earlier steps, whose results it is given or would notice."""
    given: tuple[str, ...] = ()
    """Those of them that stand in its command."""
    sections: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def command(self, keys: Sequence[str]) -> str:
        results = [f"{FOLDER}/{name}.json" for name in self.given]
        return " ".join(["mltool", self.verb, *results, *map(shlex.quote, keys), *self.options, "--json"])


STEPS = (
    Step("data", "data add", sections=("data",)),
    Step("train", "train", needs=("data",), sections=("name", "data", "model", "task", "train"), options=("--resume",)),
    Step("evaluate", "evaluate", needs=("train",), given=("train",)),
    Step("quantize", "quantize", needs=("train",), given=("train",), sections=("quantize",)),
    Step("compile", "compile", needs=("train",), given=("train",), sections=("compile",)),
    Step("profile", "profile", needs=("train", "compile"), given=("train", "compile")),
    Step("robustness", "monitor robustness", needs=("compile",), given=("compile",), sections=("monitor",)),
)
DEFAULTS = {"monitor.windows": "25,100", "monitor.redraws": "5"}
"""What a run asks for where nobody said otherwise: a rougher ladder than `mltool monitor robustness`, in a third of its
time."""


def commands(keys: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The command of each step.

    Args:
        keys: `KEY=VALUE` tokens by section, for what does not stand in the project's file.
    """
    return {
        step.name: step.command([key for section in step.sections for key in keys.get(section, ())]) for step in STEPS
    }


def command_of(stage: Mapping[str, Any]) -> str:
    """The command of a stage as one would type it in the project."""
    command = str(stage["cmd"]).replace("\\${", "${")
    return command.removeprefix(_UP).partition(" > ")[0]


def text_of(project: Path, commands: Mapping[str, str], files: Mapping[str, Iterable[Path]]) -> str:
    """The whole `dvc.yaml`.

    Args:
        files: What a step reads of the project, by its name.
    """
    import yaml

    written = _sections_of(project / FILE_NAME)
    stages: dict[str, Any] = {}
    for step in STEPS:
        results = [f"{name}.json" for name in step.needs]
        read = [os.path.relpath(path, project / FOLDER) for path in files.get(step.name, ())]
        params = [section for section in step.sections if section in written]
        stage: dict[str, Any] = {
            # `$` would be DVC's own; it takes a backslash for a plain one.
            "cmd": f"{_UP}{commands[step.name]} > {FOLDER}/{step.name}.json".replace("${", "\\${"),
            "deps": [*results, *(Path(path).as_posix() for path in read)],
            "params": [{f"../{FILE_NAME}": params}] if params else [],
            "outs": [{f"{step.name}.json": {"cache": False}}],
        }
        stages[step.name] = {key: value for key, value in stage.items() if value}
    content = {"stages": stages}
    body = yaml.safe_dump(content, sort_keys=False, width=4096, allow_unicode=True)
    return f"{_HEAD}{_SEAL}{_seal(content)}\n\n{body}"


def is_as_written(text: str) -> bool:
    """Whether nobody has edited a `dvc.yaml` since it was written here; comments are no edit."""
    return f"{_SEAL}{_seal(_content(text))}" in text.splitlines()


def is_same(text: str, other: str) -> bool:
    """Whether two of them differ in comments at most."""
    return bool(_content(text) == _content(other))


def is_ours(text: str) -> bool:
    return _HEAD in text


def stages_of(text: str, folder: Path) -> dict[str, Any]:
    """The stages of a `dvc.yaml` by name, in its order.

    Raises:
        ConfigError: It cannot be read.
    """
    import yaml

    try:
        return {
            str(name): {**stage, "cmd": str(stage["cmd"])} for name, stage in yaml.safe_load(text)["stages"].items()
        }
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(
            f"`{folder / FILE}` cannot be read: {first}", hint="mend it, or delete it to have it written anew"
        ) from error


def _sections_of(file: Path) -> set[str]:
    import yaml

    if not file.is_file():
        return set()
    return {str(key) for key in yaml.safe_load(file.read_text(encoding="utf-8")) or ()}


def _content(text: str) -> Any:
    """What stands in a `dvc.yaml`, or None if it is no YAML."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _seal(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:16]
