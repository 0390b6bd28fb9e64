"""From the tokens of a command line to references and `KEY=VALUE` overrides."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_origin, get_type_hints

from mltool.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a verb's config, as far as the command line speaks of it."""

    name: str
    """With its section, such as `train.lr`."""
    short: str
    """As it may be written for its verb: `lr`."""
    default: Any
    metadata: Mapping[str, Any]
    is_mapping: bool
    """Its entries are keys below it, such as `model.args.hidden`."""

    def choices(self) -> tuple[str, ...]:
        choices = self.metadata.get("choices", ())
        return tuple(str(one) for one in (choices() if callable(choices) else choices))


def split_args(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell positionals from overrides: a token is an override if it starts with `KEY=`."""
    from mltool.core.config.settings import is_override

    positionals = [token for token in tokens if not is_override(token)]
    return positionals, [token for token in tokens if is_override(token)]


def read_args(tokens: Sequence[str] | None, *names: str, verb: str | None = None) -> tuple[list[str], list[str]]:
    """Split `tokens` and check that the command takes them.

    Args:
        names: The positionals, such as `REF`; one in brackets may be left out, `[REF]...` may come any number of times.
        verb: The verb as in `verbs.jobs.JOBS`; None for a command that takes no keys.

    Raises:
        ConfigError: A token is one too many, or a needed one is missing.
    """
    positionals, overrides = split_args(tokens or ())
    takes = " ".join((*names, *(["[KEY=VALUE]..."] if verb else []))) or "no arguments"
    if names and names[-1].endswith("..."):  # a key is no reference, even where there may be any number of them
        surplus = [token for token in positionals if verb and token in spellings(verb)]
    else:
        surplus = positionals[len(names) :]
    if surplus:
        raise _surplus(surplus[0], takes, verb, only_keys=not names)
    if overrides and verb is None:
        raise ConfigError(f"`{overrides[0]}` is a key, but the command reads none", hint=f"it takes {takes}")
    missing = [name for name in names[len(positionals) :] if not name.startswith("[")]
    if missing:
        raise ConfigError(f"`{missing[0]}` is missing", hint=f"the command takes {takes}")
    return positionals, overrides


def _surplus(token: str, takes: str, verb: str | None, *, only_keys: bool) -> ConfigError:
    if verb and token in spellings(verb):
        return ConfigError(f"`{token}` has no value", hint=f"write `{token}=VALUE`")
    if verb and only_keys:
        return ConfigError(f"`{token}` is not KEY=VALUE", hint=f"`mltool {verb} --print-config` lists the keys")
    return ConfigError(f"`{token}` is one too many", hint=f"the command takes {takes}")


@cache
def keys_of(verb: str) -> tuple[Key, ...]:
    """All keys that a verb reads; empty for a verb without a config."""
    from mltool.verbs.jobs import JOBS

    if verb not in JOBS:
        return ()
    job, own = JOBS[verb]
    return tuple(_keys(job, "", own))


def _keys(job: type[Any], prefix: str, own: str) -> Iterator[Key]:
    hints = get_type_hints(job)
    for field in dataclasses.fields(job):
        hint, name = hints[field.name], f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _keys(hint, f"{name}.", own)
        else:
            default = None if field.default is dataclasses.MISSING else field.default
            yield Key(
                name, name.removeprefix(f"{own}.") if own else name, default, field.metadata, get_origin(hint) is dict
            )


@cache
def spellings(verb: str) -> Mapping[str, Key]:
    """Every way to write a key of a verb."""
    keys = keys_of(verb)
    return {**{key.name: key for key in keys}, **{key.short: key for key in keys}}
