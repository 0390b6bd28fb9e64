"""Where settings come from: `mltool.yaml`, the environment, the command line, keyword arguments."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mltool.core.errors import ConfigError

if TYPE_CHECKING:
    import yaml

FILE_NAME = "mltool.yaml"
SECTIONS = (
    "data",
    "model",
    "task",
    "train",
    "tune",
    "quantize",
    "compile",
    "serve",
    "deploy",
    "gcp",
    "emulate",
    "monitor",
    "hydra",
)
"""Every section that some verb reads; a test compares them with the verbs' configs."""
TOP_LEVEL = ("version", "name", *SECTIONS)

_OVERRIDE = re.compile(r"^[A-Za-z_][\w.]*=")
STEP_VARIABLE = "MLTOOL_STEP"
"""Set for the steps of `mltool run`, which tells itself how one of them ended."""
_RESERVED_VARIABLES = {"MLTOOL_HOME", "MLTOOL_DEBUG", "MLTOOL_API_KEY", STEP_VARIABLE}


@dataclass(frozen=True, slots=True)
class Setting:
    """One value somebody wrote, before it is known what its field holds."""

    key: str
    value: Any
    """Text as written, or a Python value where the writer's types count (a quoted YAML text, a keyword argument)."""
    origin: str
    """`mltool.yaml:12`, `MLTOOL_TRAIN__LR`, `lr=0.1`, or `argument`."""
    typed: bool = False
    collection: bool = False
    """Whether `value` is the text of a YAML list or mapping, which never stands for mere text."""
    folder: Path | None = None
    """Of the file that it stands in: paths are meant from there."""


def is_override(token: str) -> bool:
    return bool(_OVERRIDE.match(token))


def from_overrides(tokens: Sequence[str]) -> Iterator[Setting]:
    """Read `KEY=VALUE` tokens.

    Raises:
        ConfigError: A token has no `=`.
    """
    for token in tokens:
        if not is_override(token):
            raise ConfigError(f"`{token}` is not KEY=VALUE", hint=f"write it as `{token}=VALUE`")
        key, _, text = token.partition("=")
        yield Setting(key, text, token)


def from_arguments(values: Mapping[str, Any], prefix: str = "") -> Iterator[Setting]:
    """Read keyword arguments; a dictionary is a section."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from from_arguments(value, f"{prefix}{name}.")
        else:
            yield Setting(f"{prefix}{name}", value, "argument", typed=True)


def from_environment(environ: Mapping[str, str] = os.environ) -> Iterator[Setting]:
    """Read `MLTOOL_SECTION__KEY=VALUE`; deeper levels repeat the double underscore.

    Raises:
        ConfigError: The variable names no section.
    """
    for variable in sorted(environ):
        if not variable.startswith("MLTOOL_") or variable in _RESERVED_VARIABLES:
            continue
        key = variable.removeprefix("MLTOOL_").lower().replace("__", ".")
        if key.split(".")[0] not in TOP_LEVEL:
            raise ConfigError(
                f"`{variable}` names no section of the config",
                hint=f"write MLTOOL_SECTION__KEY; sections are {', '.join(SECTIONS)}",
            )
        yield Setting(key, environ[variable], variable)


def from_file(path: Path) -> list[Setting]:
    """Read a config file into settings that know their line.

    Raises:
        ConfigError: The file is not readable YAML, a key stands twice, or `version` is not 1.
    """
    import yaml  # 10 ms: only where there is a file

    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path.name}:{mark.line + 1}" if mark else path.name
        problem = getattr(error, "problem", None) or getattr(error, "strerror", None) or "it is not plain UTF-8 text"
        raise ConfigError(f"`{where}` cannot be read: {problem}") from error
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"`{path.name}` must hold sections, such as `train:`")
    _check_finite(root, path.name, ())
    settings = list(_from_mapping(root, path.name, prefix=""))
    for setting in (*_sections(root, path.name), *settings):
        section = setting.key.split(".")[0]
        if section not in TOP_LEVEL:
            close = difflib.get_close_matches(section, TOP_LEVEL, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"sections are {', '.join(SECTIONS)}"
            raise ConfigError(f"{setting.origin}: unknown section `{section}`", hint=hint)
        if section == "version" and (setting.key, setting.value) != ("version", "1"):
            raise ConfigError(
                f"`{setting.origin}` says version `{setting.value}`, but this mltool reads version 1",
                hint="upgrade mltool, or write `version: 1`",
            )
    return [replace(setting, folder=path.parent) for setting in settings if setting.key != "version"]


def _sections(root: yaml.MappingNode, file: str) -> Iterator[Setting]:
    """The keys at the top, each with its own line."""
    for key, value in root.value:
        if str(key.value) not in TOP_LEVEL:
            yield Setting(str(key.value), str(value.value), f"{file}:{key.start_mark.line + 1}")


def _check_finite(node: yaml.Node, file: str, above: tuple[yaml.Node, ...]) -> None:
    if any(node is one for one in above):
        raise ConfigError(f"`{file}:{node.start_mark.line + 1}` refers to itself", hint="write the values out")
    parts = node.value if isinstance(node.value, list) else []
    for part in parts:
        for inner in part if isinstance(part, tuple) else (part,):
            _check_finite(inner, file, (*above, node))


def _from_mapping(node: yaml.MappingNode, file: str, prefix: str) -> Iterator[Setting]:
    import yaml

    from mltool.core.config import plain

    seen: set[str] = set()
    for key_node, value_node in node.value:
        key, origin = str(key_node.value), f"{file}:{key_node.start_mark.line + 1}"
        if key in seen:
            raise ConfigError(f"`{origin}` gives `{prefix}{key}` a second time", hint="keep one of the two")
        seen.add(key)
        if not prefix and key in SECTIONS and value_node.value in ("", "null", "~", []):
            continue  # a section whose fields are all commented out
        if isinstance(value_node, yaml.MappingNode) and value_node.value:
            yield from _from_mapping(value_node, file, f"{prefix}{key}.")
        elif isinstance(value_node, yaml.CollectionNode):
            yield Setting(f"{prefix}{key}", plain.line_of(value_node), origin, collection=True)
        else:
            quoted = value_node.style in ("'", '"')
            yield Setting(f"{prefix}{key}", str(value_node.value), origin, typed=quoted)


def find_project(start: Path | None = None) -> Path:
    """The folder of the nearest `mltool.yaml` at or above `start`, else `start` itself (default: current folder)."""
    start = (start or Path.cwd()).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / FILE_NAME).is_file()), start)


def gather(project: Path, *written: Iterable[Setting]) -> list[Setting]:
    """All settings in rising priority: the project's file, the environment, then what is `written`."""
    file = project / FILE_NAME
    if file.is_symlink() and not file.exists():
        raise ConfigError(f"`{file}` is a link to nothing", hint="mend the link, or delete it")
    if not file.exists() and (project / "mltool.yml").exists():
        raise ConfigError(f"`{project / 'mltool.yml'}` is not read", hint=f"call it `{FILE_NAME}`")
    settings = from_file(file) if file.exists() else []
    settings += from_environment()
    for group in written:
        settings += group
    return settings
