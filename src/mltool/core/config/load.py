"""From what was written to a frozen, checked config."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from mltool.core.config.fields import FieldType, coerce, limit_broken, parse
from mltool.core.config.settings import Setting, find_project, from_arguments, from_overrides, gather
from mltool.core.errors import ConfigError

ConfigT = TypeVar("ConfigT")
WHOLE = "*"
"""The name among the kept values of a mapping for its whole text, where that holds `${…}`."""


@dataclass(frozen=True, slots=True)
class Resolved(Generic[ConfigT]):
    config: ConfigT
    values: dict[str, Any]
    """Value by dotted key; text with `${…}` is kept as it was written, so that no secret is stored."""
    origins: dict[str, str]
    """Where each key that is not a default came from."""
    stored: dict[str, Any]
    """`values` in sections, as an artifact keeps them: only what shapes it, and paths below the project from there."""


@dataclass(frozen=True, slots=True)
class _Field:
    type: FieldType
    metadata: Mapping[str, Any]


def load_config(
    job: type[ConfigT],
    own: str,
    overrides: Iterable[str] = (),
    values: Mapping[str, Any] | None = None,
    project: Path | None = None,
) -> ConfigT:
    """The config of a verb; `resolve` says where each value came from."""
    return resolve(job, own, overrides, values, project).config


def resolve(
    job: type[ConfigT],
    own: str,
    overrides: Iterable[str] = (),
    values: Mapping[str, Any] | None = None,
    project: Path | None = None,
    below: Iterable[Setting] = (),
) -> Resolved[ConfigT]:
    """Read every source in rising priority and build `job`, a dataclass whose fields are sections.

    Args:
        job: What the verb needs; a field that is no dataclass (`name`) is a key of its own.
        own: The verb's section, whose fields may be written without it.
        overrides: `KEY=VALUE` tokens.
        values: Keyword arguments from Python.
        project: Folder of `mltool.yaml`; found from the current folder by default.
        below: Settings of another tool, by whole key, over which all other sources go.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or is out of range.
    """
    fields = dict(_leaves(job))
    written = [_with_section(s, fields, own) for s in (*from_overrides(list(overrides)), *from_arguments(values or {}))]
    folder = project or find_project()
    everything = [*below, *gather(folder, written)]
    sections = {key.split(".")[0] for key in fields}
    others = [s for s in everything[: len(everything) - len(written)] if s.key.split(".")[0] in sections]
    last = {setting.key: setting for setting in (*others, *written)}
    # Without those that only other verbs read, and without references that something else has replaced.
    settings = [s for s in (*others, *written) if last[s.key] is s or not _has_reference(s)]
    parsed: dict[str, Any] = {}
    stored: dict[str, Any] = {}
    origins: dict[str, str] = {}
    texts = _interpolate([setting for setting in settings if _has_reference(setting)], everything)
    for setting in settings:
        field_key, rest = _field_of(setting, fields, own)
        field, referring = fields[field_key], _has_reference(setting)
        value = _value(setting, field, texts[setting] if referring else setting.value, is_entry=bool(rest))
        keep = setting.value if referring else value
        if rest:
            parsed[field_key] = _with_entry(parsed.get(field_key, {}), rest, value)
            before = stored.get(field_key, {})
            # A whole mapping with `${…}` is kept as its text, under a name that no entry can have.
            stored[field_key] = _with_entry(before if isinstance(before, Mapping) else {WHOLE: before}, rest, keep)
        else:
            parsed[field_key], stored[field_key] = value, keep
        origins[field_key] = setting.origin
    config = _build(job, parsed, prefix="")
    defaults = {key: _get(config, key) for key in fields}
    everything_kept = {**defaults, **stored}
    shaping = {
        key: _from_project(value, folder) if fields[key].metadata.get("is_path") else value
        for key, value in everything_kept.items()
        if fields[key].metadata.get("shapes", True)
    }
    return Resolved(config, everything_kept, origins, nested(shaping))


def read_one(job: type[Any], own: str, setting: Setting) -> tuple[str, Any]:
    """The whole key that one setting means, and its value, checked as if it stood in the config of `job`.

    Raises:
        ConfigError: The key is unknown, or the value has the wrong type or is out of range.
    """
    fields = dict(_leaves(job))
    setting = _with_section(setting, fields, own)
    field_key, rest = _field_of(setting, fields, own)
    value = _value(setting, fields[field_key], setting.value, is_entry=bool(rest))
    return (f"{field_key}.{rest}" if rest else field_key), value


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as sections, with plain lists for tuples: the form in which a config is stored."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = list(value) if isinstance(value, tuple) else value
    return tree


def _from_project(text: Any, project: Path) -> Any:
    """A path below the project as seen from there, however it was typed; anything else as it is."""
    if not isinstance(text, str) or "${" in text or not Path(text).exists():
        return text
    path = Path(os.path.abspath(text))  # noqa: PTH100 - not `resolve`: data is often a link to another disk
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else text


def expand(stored: Any) -> Any:
    """A stored value with its `${oc.env:…}` resolved again, where it was kept as text.

    Raises:
        ConfigError: A variable is not set here.
    """
    if isinstance(stored, str) and "${" in stored:
        text = Setting("value", stored, "a stored config")
        return parse(str(_interpolate([text], [])[text]), FieldType(object))
    if isinstance(stored, Mapping):
        whole = expand(stored[WHOLE]) if WHOLE in stored else {}
        return {**whole, **{key: expand(value) for key, value in stored.items() if key != WHOLE}}
    return [expand(value) for value in stored] if isinstance(stored, list | tuple) else stored


def _leaves(job: type[Any], prefix: str = "") -> Iterable[tuple[str, _Field]]:
    hints = get_type_hints(job)
    for field in dataclasses.fields(job):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _leaves(hint, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", _Field(FieldType.of(hint), field.metadata)


def _with_section(setting: Setting, fields: Mapping[str, _Field], own: str) -> Setting:
    first = setting.key.split(".")[0]
    sections = {key.split(".")[0] for key in fields}
    if first in sections or f"{own}.{first}" not in fields:
        return setting
    return dataclasses.replace(setting, key=f"{own}.{setting.key}")


def _field_of(setting: Setting, fields: Mapping[str, _Field], own: str) -> tuple[str, str]:
    """The field that a key means, and the entry below it (`model.args.hidden` is entry `hidden` of `model.args`)."""
    parts = setting.key.split(".")
    for length in range(len(parts), 0, -1):
        key = ".".join(parts[:length])
        if key in fields and (length == len(parts) or fields[key].type.mapping):
            return key, ".".join(parts[length:])
    raise ConfigError(_named(setting, f"unknown key `{setting.key}`"), hint=_nearest(setting.key, fields, own))


def _nearest(key: str, fields: Mapping[str, _Field], own: str) -> str:
    short = {name.removeprefix(f"{own}."): name.removeprefix(f"{own}.") for name in fields}
    for name, field in fields.items():
        if key.rsplit(".", 1)[-1].lower().replace("-", "_") in field.metadata.get("known_as", ()):
            return f"here it is called `{name.removeprefix(f'{own}.')}`"
    spellings = {**{name: name for name in fields}, **short}
    last_parts = {name.rsplit(".", 1)[-1]: name.removeprefix(f"{own}.") for name in fields}
    close = difflib.get_close_matches(key.lower(), spellings, 1, 0.6)
    if close:
        return f"did you mean `{spellings[close[0]]}`?"
    close = difflib.get_close_matches(key.rsplit(".", 1)[-1].lower(), last_parts, 1, 0.6)
    if close:
        return f"did you mean `{last_parts[close[0]]}`?"
    return f"known keys are {', '.join(sorted(short))}"


def _named(setting: Setting, problem: str) -> str:
    """`problem`, led by the file and line or the variable it stands in."""
    in_text = setting.origin == "argument" or setting.origin.startswith(f"{setting.key}=") or "=" in setting.origin
    return problem if in_text else f"{setting.origin}: {problem}"


def _value(setting: Setting, field: _Field, written: Any, *, is_entry: bool) -> Any:
    field_type = FieldType(field.type.base) if is_entry else field.type
    if field.metadata.get("is_path") and setting.folder and isinstance(written, str):
        beside = setting.folder / written
        written = str(beside) if not Path(written).exists() and beside.exists() else written
    try:
        if setting.collection and not (field_type.many or field_type.mapping or field_type.base is object):
            raise ValueError(written)
        literal = setting.typed and not _has_reference(setting)
        value = coerce(written, field_type) if literal else parse(str(written), field_type)
    except ValueError:
        raise ConfigError(_named(setting, f"`{setting.key}` must be {field_type}, not `{setting.value}`")) from None
    wanted = limit_broken(value, field.metadata) if not is_entry else None
    if wanted is not None:
        choices = field.metadata.get("choices")
        names = [str(name) for name in (choices() if callable(choices) else choices or ())]
        # Of a list, the one that is wrong.
        wrong = next((one for one in value if str(one) not in names), value) if isinstance(value, tuple) else value
        shown = wrong if names and wrong is not value else setting.value
        close = difflib.get_close_matches(str(wrong).lower(), names, 1)
        raise ConfigError(
            _named(setting, f"`{setting.key}` must be {wanted}, not `{shown}`"),
            hint=f"did you mean `{close[0]}`?" if close else None,
        )
    return value


def _with_entry(mapping: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    inner = mapping.get(name, {})
    entry = _with_entry(inner if isinstance(inner, Mapping) else {}, rest, value) if rest else value
    return {**mapping, name: entry}


def _build(job: type[ConfigT], parsed: Mapping[str, Any], prefix: str) -> ConfigT:
    hints = get_type_hints(job)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(job):  # type: ignore[arg-type]
        key, hint = f"{prefix}{field.name}", hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            arguments[field.name] = _build(hint, parsed, f"{key}.")
        elif key in parsed:
            arguments[field.name] = parsed[key]
    return job(**arguments)


def _get(config: object, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config


def _has_reference(setting: Setting) -> bool:
    return isinstance(setting.value, str) and "${" in setting.value


def _interpolate(referring: Iterable[Setting], everything: Iterable[Setting]) -> dict[Setting, Any]:
    """OmegaConf's answer for the texts that hold `${…}`."""
    referring = list(referring)
    if not referring:
        return {}
    from omegaconf import OmegaConf  # 0.1 s: only where somebody interpolates
    from omegaconf.errors import OmegaConfBaseException

    tree, texts = OmegaConf.create({}), {}
    setting = referring[0]
    try:
        for setting in everything:
            OmegaConf.update(tree, setting.key, setting.value if isinstance(setting.value, str) else str(setting.value))
        for setting in referring:
            # In a place of its own: a later setting of the same key, or of an entry below it, has taken its place.
            OmegaConf.update(tree, WHOLE, setting.value)
            texts[setting] = OmegaConf.select(tree, WHOLE, throw_on_missing=True)
    except OmegaConfBaseException as error:
        problem = str(error).splitlines()[0]
        raise ConfigError(_named(setting, f"`{setting.value}` cannot be resolved: {problem}")) from error
    return texts
