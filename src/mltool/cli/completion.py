"""What the Tab key offers: references of the store, keys, and the choices of a key.

A shell may hand over `train.optimizer=ad` as one word or, like bash, as three (`train.optimizer`, `=`, `ad`) of which
only the last is to be completed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import typer

from mltool.cli.arguments import Key, keys_of, spellings
from mltool.core.errors import MltoolError

Complete = Callable[[typer.Context, str], list[str]]


def complete_keys(ctx: typer.Context, incomplete: str) -> list[str]:
    return _keys(ctx, incomplete)


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    return _refs("model", _words(ctx), incomplete)


def complete_two_models(ctx: typer.Context, incomplete: str) -> list[str]:
    return _refs("model", _words(ctx), incomplete, at_most=2)


def complete_model_then_keys(ctx: typer.Context, incomplete: str) -> list[str]:
    return [*_refs("model", _words(ctx), incomplete), *_keys(ctx, incomplete)]


def complete_models_then_keys(ctx: typer.Context, incomplete: str) -> list[str]:
    words = _words(ctx)
    is_value = words[-1:] == ["="] or (words and not incomplete and _bash_stands_on("="))
    refs = [] if is_value else _refs("model", words, incomplete, at_most=len(words) + 1)
    return [*(ref for ref in refs if ref not in words), *_keys(ctx, incomplete)]


def complete_dataset(ctx: typer.Context, incomplete: str) -> list[str]:
    return _refs("dataset", _words(ctx), incomplete)


def complete_dataset_then_keys(ctx: typer.Context, incomplete: str) -> list[str]:
    return [*_refs("dataset", _words(ctx), incomplete), *_keys(ctx, incomplete)]


def complete_deployment(ctx: typer.Context, incomplete: str) -> list[str]:
    from mltool.artifacts.store import open_store

    folders = open_store().root.glob("deployments/*/deployment.json") if not _words(ctx) else ()
    return sorted(path.parent.name for path in folders if path.parent.name.startswith(incomplete))


def complete_file_then_keys(ctx: typer.Context, incomplete: str) -> list[str]:
    """Nothing before the file is given: then the shell offers its files."""
    return _keys(ctx, incomplete) if _words(ctx) else []


def _words(ctx: typer.Context) -> list[str]:
    """The words after the verb, before the one that is being completed."""
    return list(ctx.params.get("tokens") or ())


def _verb(ctx: typer.Context) -> str:
    return ctx.command_path.partition(" ")[2]


def _keys(ctx: typer.Context, incomplete: str) -> list[str]:
    verb, before = _verb(ctx), _words(ctx)
    if before and before[-1] == "=":  # bash: KEY = VALU
        return _values(verb, before[-2] if len(before) > 1 else "", "", incomplete)
    if before and not incomplete and _bash_stands_on("="):  # bash: KEY =
        return _values(verb, before[-1], "", "")
    key, equals, value = incomplete.partition("=")
    if equals:
        return _values(verb, key, f"{key}=", value)
    keys = keys_of(verb)
    names = {key.short: key for key in keys}
    if incomplete:
        names |= {key.name: key for key in keys}
    fitting = {name: key for name, key in names.items() if name.startswith(incomplete)}
    if len(fitting) == 1:  # a second candidate keeps the shell from adding a space after `KEY=`
        ((name, only),) = fitting.items()
        if not only.is_mapping:
            return [f"{name}=", *(f"{name}={value}" for value in only.choices() or (_default(only),))]
    return [f"{name}{'.' if key.is_mapping else '='}" for name, key in fitting.items()]


def _values(verb: str, key: str, prefix: str, value: str) -> list[str]:
    known = spellings(verb).get(key)
    return [f"{prefix}{one}" for one in known.choices() if one.startswith(value)] if known else []


def _default(key: Key) -> str:
    if isinstance(key.default, bool):
        return str(key.default).lower()
    return "null" if key.default is None else str(key.default)


def _bash_stands_on(character: str) -> bool:
    words = os.environ.get("COMP_WORDS", "").split()
    position = os.environ.get("COMP_CWORD", "")
    return position.isdigit() and int(position) < len(words) and words[int(position)] == character


def _refs(kind: str, before: Sequence[str], incomplete: str, at_most: int = 1) -> list[str]:
    from mltool.artifacts.manifest import ArtifactKind
    from mltool.artifacts.store import open_store

    prefix = ""
    if len(before) > 1 and before[-1] == "@":  # bash splits `digits@3` as well
        prefix, before = f"{before[-2]}@", before[:-2]
    if len(before) >= at_most:
        return []
    try:
        refs = [ref for ref, _ in open_store().refs.all(ArtifactKind(kind))]
    except (MltoolError, OSError):
        return []  # completing is no moment to complain; the command itself will
    names = [*dict.fromkeys(ref.partition("@")[0] for ref in refs), *refs, *(["latest"] if refs else [])]
    return [name.removeprefix(prefix) for name in names if name.startswith(f"{prefix}{incomplete}")]
