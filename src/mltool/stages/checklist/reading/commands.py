"""What a command line of a stranger does: looked at word by word, so that no length of it takes long."""

from __future__ import annotations

import re
from collections.abc import Collection

MAX_LINE = 2_000
"""Characters of one line that are looked at; nobody writes longer commands."""
MAX_TEXT = 50_000
_WORD = re.compile(r"[\w-]+")


def short_lines(text: str) -> str:
    """The same without blank lines, and with the ends of very long lines and of a very long text cut off."""
    return "\n".join(line[:MAX_LINE] for line in text[:MAX_TEXT].splitlines() if line.strip())


def has_words_in_order(command: str, first: Collection[str], later: Collection[str]) -> bool:
    """Whether one of the `first` words is followed, at any distance, by one of the `later` ones.

    `python -m pip3.11 install -e .` has `pip3` before `install`; `--no-install` is another word than `install`.
    """
    words = iter(_WORD.findall(command))
    return any(word in first for word in words) and any(word in later for word in words)
