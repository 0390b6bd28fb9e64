"""What the classes of a dataset are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from mltool.core.errors import ConfigError
from mltool.datasets.cells import category_text
from mltool.datasets.schema import Schema
from mltool.datasets.source import Rows, Source


def check_distinct(names: Sequence[str], key: str) -> None:
    """Refuse two classes of one name, or one without: their probabilities could not be told apart.

    Raises:
        ConfigError: Names it, and the key or argument that gave it.
    """
    for name in names:
        if not name.strip():
            raise ConfigError(f"`{key}` holds a class without a name", hint="name each of them")
        if list(names).count(name) > 1:
            raise ConfigError(f"`{key}` names two classes `{name}`", hint="give each a name of its own")


def class_names(labels: Iterable[Any]) -> tuple[str, ...]:
    """The names of classes by their labels, in order and each once: 3, 3.0 and `3` are one class."""
    return tuple(dict.fromkeys(class_name(label) for label in labels))


def class_name(label: Any) -> str:
    return category_text(label) or ""


def in_wanted_order(classes: tuple[str, ...], names: Sequence[str]) -> tuple[str, ...]:
    """The classes in the order of a network's outputs, as far as `data.classes` says it.

    Where the data names its classes, `names` may bring them into another order. Where it counts them, all codes from
    0 on, if the user names more classes than the data happens to show: a network that knows ten classes may be
    imported with data that lacks the ninth.
    """
    if set(classes) <= set(names) and not all(name.isdecimal() for name in classes):
        return tuple(names)
    is_counted = all(name.isdecimal() for name in classes)
    if not is_counted or len(names) <= len(classes) or max(map(int, classes)) >= len(names):
        return classes
    return tuple(map(str, range(len(names))))


def with_names(schema: Schema, names: tuple[str, ...]) -> Schema:
    """The schema with the class names that the user gave, if they did.

    Raises:
        ConfigError: The data has names of its own, or another number of classes.
    """
    if not names:
        return schema
    check_distinct(names, "data.classes")
    if names == schema.target.classes:
        return schema
    own = next((name for name in schema.target.classes if not name.removeprefix("-").isdecimal()), None)
    if own is not None:
        raise ConfigError(
            f"`data.classes` names classes that the data only counts, but here one is called `{own}` already",
            hint=f"write the names of the data, {', '.join(sorted(schema.target.classes)[:12])}, in the order you want",
        )
    if set(names) & set(schema.target.classes):
        raise ConfigError(
            f"`data.classes={','.join(names)}` would call a class by the name that another has in the data",
            hint=f"new names are given in the order {', '.join(schema.target.classes[:12])}",
        )
    if len(names) != len(schema.target.classes):
        raise ConfigError(
            f"`data.classes` names {len(names)} classes, but the data has {len(schema.target.classes)}",
            hint=f"the data calls them {', '.join(schema.target.classes[:12])}; where codes are missing from the data, "
            "name every class from code 0 on",
        )
    return replace(schema, target=replace(schema.target, classes=names))


def absent_from(source: Source, schema: Schema, train_rows: Rows) -> list[str]:
    """A note on the classes that no training row has."""
    if source.stratify_N is None:
        return []
    present = set(source.stratify_N[train_rows].tolist())
    absent = [f"`{name}`" for code, name in enumerate(schema.target.classes) if code not in present]
    if not absent:
        return []
    shown = ", ".join(absent[:10]) + (", …" if len(absent) > 10 else "")
    return [f"no training row has the class {shown}: it cannot be learned; give more rows of it"]
