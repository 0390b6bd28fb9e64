"""One thing that was looked at, and what mends it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

_SECRET_WORDS = {
    "KEY", "APIKEY", "KEYS", "TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD",
    "CREDENTIAL", "CREDENTIALS", "AUTH", "AUTHORIZATION", "BEARER", "PAT",
}  # fmt: skip
_SECRET_ENDS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY")
"""Of a word, as in `PGPASSWORD`; `KEY` alone would make one of `MONKEY`."""
_LOCATIONS = {"PWD", "OLDPWD"}
"""Of the shell: folders, and no passwords."""
_MIN_SECRET = 6
"""Characters; shorter values would be found in words that have nothing to do with them."""


class State(StrEnum):
    fine = "fine"
    warning = "warning"
    broken = "broken"
    absent = "absent"


@dataclass(frozen=True, slots=True)
class Row:
    """What was found.

    Attributes:
        mend: The line that mends it, or brings it where it is absent; empty if there is nothing to do.
        is_core: Whether every verb may need it, so that mltool as a whole is broken if it is.
    """

    area: str
    name: str
    state: State
    detail: str
    mend: str = ""
    is_core: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "area": self.area,
            "name": self.name,
            "state": self.state.value,
            "detail": self.detail,
            "mend": self.mend,
            "is_core": self.is_core,
        }

    def without_secrets(self) -> Row:
        """The same with a mark in place of every secret of the environment: a library's error may quote one."""
        detail, mend = self.detail, self.mend
        for name, value in _secrets():
            detail, mend = detail.replace(value, f"<{name}>"), mend.replace(value, f"<{name}>")
        return replace(self, detail=detail, mend=mend)


def _names_a_secret(variable: str) -> bool:
    words = re.split(r"[^A-Z]+", variable.upper())
    has_one = any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words)
    return has_one and variable not in _LOCATIONS


def _secrets() -> list[tuple[str, str]]:
    """Variables that hold a secret by a whole word of their name, as in `WANDB_API_KEY`, but not `GIT_AUTHOR_NAME`.

    The longest value comes first, because it may hold a shorter one.
    """
    found = [(name, value) for name, value in os.environ.items() if len(value) >= _MIN_SECRET and _names_a_secret(name)]
    return sorted(found, key=lambda one: -len(one[1]))
