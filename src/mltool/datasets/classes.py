"""What the classes of a dataset are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from mltool.core.errors import ConfigError
from mltool.datasets.cells import category_text
from mltool.datasets.schema import Schema
from mltool.datasets.source import Rows, Source


def class_names(labels: Iterable[Any]) -> tuple[str, ...]:
    """The names of classes by their labels, in order and each once: 3, 3.0 and `3` are one class."""
    return tuple(dict.fromkeys(class_name(label) for label in labels))


def class_name(label: Any) -> str:
    return category_text(label) or ""


def every_code(classes: tuple[str, ...], names: Sequence[str]) -> tuple[str, ...]:
    """All codes from 0 on, where the user names more classes than the data happens to show.

    A network that knows ten classes may be imported with data that lacks the ninth.
    """
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
    own = next((name for name in schema.target.classes if not name.removeprefix("-").isdecimal()), None)
    if own is not None:
        raise ConfigError(
            f"`data.classes` names classes that the data only counts, but here one is called `{own}` already",
            hint="leave `data.classes` out, or rename the classes in the data",
        )
    if set(names) & set(schema.target.classes) and names != schema.target.classes:
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
