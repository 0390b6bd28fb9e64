"""What was found out about one item of the checklist."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_MAX_CHARACTERS = 400
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class Verdict(StrEnum):
    done = "done"
    partly = "partly"
    missing = "missing"
    not_applicable = "not_applicable"
    ask = "ask"


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Verdict
    evidence: str
    """Where it was seen, as `file:line`, or a figure; never empty."""


def shown(text: str) -> str:
    """A stranger's text on one line that a terminal can take: no control characters, and not too long."""
    text = _UNPRINTABLE.sub(" ", text.encode("utf-8", "backslashreplace").decode()).strip()
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


def _finding(verdict: Verdict, evidence: tuple[str, ...]) -> Finding:
    return Finding(verdict, shown("; ".join(part for part in evidence if part)))


def done(*evidence: str) -> Finding:
    return _finding(Verdict.done, evidence)


def partly(*evidence: str) -> Finding:
    return _finding(Verdict.partly, evidence)


def missing(*evidence: str) -> Finding:
    return _finding(Verdict.missing, evidence)


def not_applicable(*evidence: str) -> Finding:
    return _finding(Verdict.not_applicable, evidence)


def ask(*evidence: str) -> Finding:
    return _finding(Verdict.ask, evidence)


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(places: list[str], at_most: int = 3) -> str:
    """The first few of many places, and how many there are besides."""
    places = list(dict.fromkeys(places))
    more = len(places) - at_most
    return ", ".join(places[:at_most]) + (f" and {more:,} more" if more > 0 else "")
