"""What a single cell means, the same for a CSV cell, a JSON value and an array element."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

MISSING_TEXT = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "None", "?"})
"""Texts that mean a missing value in a file without types."""

FLOAT32_MAX = float(np.finfo(np.float32).max)
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0*")


def parse_number(value: Any) -> float:
    """The number of a cell; NaN where it is missing, and infinite if it is too large for float32.

    Raises:
        ValueError: The cell is not a number.
    """
    if value is None:
        return float("nan")
    if isinstance(value, str):
        text = value.strip()
        if text in MISSING_TEXT:
            return float("nan")
        # Python also reads `1_000` and the digits of other scripts; other readers do not
        if "_" in text or not text.isascii():
            raise ValueError(value)
        number = float(text)
    elif isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.complexfloating)):
        try:
            number = float(value)
        except OverflowError:
            return float("inf")
    else:
        raise ValueError(value)
    return float("inf") if abs(number) > FLOAT32_MAX else number


def category_text(value: Any) -> str | None:
    """The text that a category is known by: 3, 3.0 and `3` are alike; None where it is missing.

    Raises:
        ValueError: The cell is neither text, number nor boolean.
    """
    if isinstance(value, str):
        text = value.strip()
        whole = _WHOLE.fullmatch(text)
        return (whole[1] if whole else text) or None
    if value is None or value != value:  # a NaN of any type
        return None
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        # not through Python's float, which would show digits that a float32 does not have
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, (int, np.integer)):
        return str(value)
    raise ValueError(value)


def category_key(text: str) -> str:
    """What two texts of one category have in common: `True` in a CSV is `true` in JSON."""
    return text.lower() if text.lower() in {"true", "false"} else text


def shorten(value: Any, limit: int = 60) -> str:
    """`value` as it can stand in a message."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def natural_key(text: str) -> tuple[bool, float, str]:
    """Sorts numbers by value, before texts."""
    try:
        number = parse_number(text)
    except ValueError:
        return (True, 0.0, text)
    return (number != number, 0.0 if number != number else number, text)


def did_you_mean(name: str, known: Iterable[str], plural: str) -> str:
    """A hint that gives the nearest name, or the first of the known ones, called `plural`."""
    names = list(known)
    near = [one for one in names if one.lower() == name.lower()] or difflib.get_close_matches(name, names, n=3)
    if near:
        return f"did you mean {' or '.join(f'`{one}`' for one in near)}?"
    return f"the {plural} are {', '.join(f'`{one}`' for one in names[:10])}{', …' if len(names) > 10 else ''}"


def sniff_delimiter(header: str) -> str:
    """The commonest of comma, semicolon and tab in a header; a comma if there is none."""
    return max(",;\t", key=header.count)


def json_lines(text: str) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """The number of each line that is not blank, its object, or None and what is wrong with it."""
    # not `splitlines`: a JSON text may hold the other line separators of Unicode
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            value = json.loads(row)
        except (ValueError, RecursionError) as error:
            yield line, None, f"not JSON: {error}"
            continue
        if isinstance(value, dict):
            yield line, value, ""
        else:
            yield line, None, f"`{shorten(value)}` is not an object with fields"
