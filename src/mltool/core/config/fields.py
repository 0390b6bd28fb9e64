"""What a config field may hold, and how text becomes its value."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MISSING: Any = dataclasses.MISSING


def setting(
    default: Any = MISSING,
    *,
    default_factory: Callable[[], Any] | Any = MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    choices: Callable[[], tuple[Any, ...]] | tuple[Any, ...] | None = None,
    known_as: tuple[str, ...] = (),
    shapes: bool = True,
    is_path: bool = False,
) -> Any:
    """A dataclass field with what else is known of its value.

    Args:
        minimum: The smallest value that is allowed, as `maximum` is the largest; `above` itself is not allowed.
        choices: May be a function, for names that are found when they are needed.
        known_as: What other tools call it, for hints.
        shapes: Whether the value can change what is made; where it logs to cannot, and is no part of what it is.
        is_path: A file or folder, which is the same however its path is written.
    """
    limits = {"minimum": minimum, "maximum": maximum, "above": above, "choices": choices}
    metadata: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    metadata |= {"known_as": known_as, "shapes": shapes, "is_path": is_path}
    if default_factory is not MISSING:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class FieldType:
    """The type of a field, taken apart: `tuple[int, ...] | None` is base int, many, optional."""

    base: type
    many: bool = False
    mapping: bool = False
    optional: bool = False

    @classmethod
    def of(cls, annotation: Any) -> FieldType:
        optional = False
        if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
            inner = [part for part in typing.get_args(annotation) if part is not types.NoneType]
            optional = len(inner) < len(typing.get_args(annotation))
            (annotation,) = inner
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is tuple:
            return cls(arguments[0], many=True, optional=optional)
        if origin is dict:
            value_type = arguments[1] if arguments[1] is not Any else object
            return cls(value_type, mapping=True, optional=optional)
        return cls(annotation, optional=optional)

    def __str__(self) -> str:
        words = {
            int: "a whole number",
            float: "a number",
            bool: "true or false",
            str: "text",
            object: "plain data, such as text or a number",
        }
        word = words.get(self.base, self.base.__name__)
        if self.many:
            word = f"a list, each {word}"
        if self.mapping:
            word = f"names with values, each {word}"
        return f"{word} or null" if self.optional else word


_BOOLEANS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def parse(text: str, field_type: FieldType) -> Any:
    """Read `text` as the type of its field, so that `010` is ten and `no` is text where text is wanted.

    Raises:
        ValueError: The text does not fit the type.
    """
    if field_type.optional and text.strip().lower() in {"null", "none", "~", ""}:
        return None
    if field_type.many:
        return tuple(_parse_one(part, field_type.base) for part in _parts(text.strip()))
    if field_type.mapping:
        value = parse_any(text)
        if not isinstance(value, dict):
            raise ValueError(text)
        return coerce(value, field_type)
    return _parse_one(text, field_type.base)


def _parts(text: str) -> list[str]:
    if not text.startswith("[") and not any(quote in text for quote in "'\""):
        return [part.strip() for part in text.split(",") if part.strip()]
    from mltool.core.config import plain  # 10 ms: most lists are short and bare

    return plain.scalars(text if text.startswith("[") else f"[{text}]")


def _parse_one(text: str, base: type) -> Any:
    if base is bool:
        try:
            return _BOOLEANS[text.strip().lower()]
        except KeyError:
            raise ValueError(text) from None
    if base is int:
        return int(text)
    if base is float:
        return _finite(float(text))
    if base is object:
        return parse_any(text)
    return text


def parse_any(text: str) -> Any:
    """Read `text` where the field takes anything, such as an argument of a user's network.

    Raises:
        ValueError: The text has an unclosed quote or bracket, or is no plain data.
    """
    from mltool.core.config import plain  # 10 ms: most fields have a plain type

    return as_plain(plain.load(text))


def coerce(value: Any, field_type: FieldType) -> Any:
    """Accept a typed value (a keyword argument, a quoted text) if its type fits.

    Raises:
        ValueError: It does not.
    """
    if value is None and field_type.optional:
        return None
    if field_type.mapping and not isinstance(value, str):
        if not isinstance(value, Mapping):
            raise ValueError(value)
        return {str(name): coerce(entry, FieldType(field_type.base)) for name, entry in value.items()}
    if field_type.many:
        values = value if isinstance(value, tuple | list) else (value,)
        return tuple(coerce(one, FieldType(field_type.base)) for one in values)
    if isinstance(value, str) and (field_type.mapping or field_type.base not in (str, object)):
        return parse(value, field_type)
    return as_plain(value) if field_type.base is object else _coerce_one(value, field_type.base)


def _coerce_one(value: Any, base: type) -> Any:
    if isinstance(value, bool) != (base is bool):  # Python takes True for 1
        raise ValueError(value)
    if base is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    accepted: Any = {int: numbers.Integral, float: numbers.Real, str: str | numbers.Real}.get(base, base)
    if not isinstance(value, accepted):
        raise ValueError(value)
    return _finite(float(value)) if base is float else base(value)


def as_plain(value: Any) -> Any:
    """`value` as plain data that JSON can hold, so that it can be stored.

    Raises:
        ValueError: It is an object, a function, or a number that is not finite.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return _finite(float(value))
    if isinstance(value, tuple | list):
        return type(value)([as_plain(one) for one in value])
    if isinstance(value, Mapping):
        return {str(name): as_plain(one) for name, one in value.items()}
    raise ValueError(value)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def limit_broken(value: Any, metadata: typing.Mapping[str, Any]) -> str | None:
    """What `value` should have been, in words, or None if it is within its limits."""
    if value is None:
        return None
    values = value if isinstance(value, tuple) else (value,)
    choices = metadata.get("choices")
    if not values and {"choices", "minimum"} & set(metadata):
        return "a list of one or more"
    if choices is not None:
        names = choices() if callable(choices) else choices
        if any(one not in names for one in values):
            return "one of " + ", ".join(f"`{name}`" for name in names)
    low, high, above = (metadata.get(name) for name in ("minimum", "maximum", "above"))
    if (
        any(low is not None and one < low for one in values)
        or any(high is not None and one > high for one in values)
        or any(above is not None and one <= above for one in values)
    ):
        parts = [
            f"at least {low:g}" if low is not None else "",
            f"above {above:g}" if above is not None else "",
        ]
        parts.append(f"at most {high:g}" if high is not None else "")
        return " and ".join(part for part in parts if part)
    return None
