"""What was verified: value, limit, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class CheckStatus(StrEnum):
    passed = "passed"
    failed = "failed"
    not_run = "not_run"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was verified.

    Attributes:
        value: What was measured, in the unit that the end of `id` names; a ratio has none.
        limit: What `value` was held against.
        detail: The reason of a failure or of not having run; empty is fine for a pass.
    """

    id: str
    status: CheckStatus
    value: float | None = None
    limit: float | None = None
    detail: str = ""

    @classmethod
    def at_most(cls, check_id: str, value: float, limit: float, detail: str = "") -> Check:
        """Passed if `value <= limit`; NaN fails."""
        return cls._compared(check_id, value <= limit, value, limit, detail)

    @classmethod
    def at_least(cls, check_id: str, value: float, limit: float, detail: str = "") -> Check:
        """Passed if `value >= limit`; NaN fails."""
        return cls._compared(check_id, value >= limit, value, limit, detail)

    @classmethod
    def _compared(cls, check_id: str, holds: bool, value: float, limit: float, detail: str) -> Check:
        status = CheckStatus.passed if holds else CheckStatus.failed
        if math.isfinite(value):
            return cls(check_id, status, float(value), float(limit), detail)
        detail = f"{detail}; the value is {value}" if detail else f"the value is {value}"
        return cls(check_id, status, None, float(limit), detail)  # JSON has no such number

    @classmethod
    def passed(cls, check_id: str, detail: str = "") -> Check:
        return cls(check_id, CheckStatus.passed, detail=detail)

    @classmethod
    def failed(cls, check_id: str, detail: str) -> Check:
        return cls(check_id, CheckStatus.failed, detail=detail)

    @classmethod
    def not_run(cls, check_id: str, reason: str) -> Check:
        return cls(check_id, CheckStatus.not_run, detail=reason)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "status": self.status.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Check:
        return cls(data["id"], CheckStatus(data["status"]), data["value"], data["limit"], data["detail"])


def any_failed(checks: Iterable[Check]) -> bool:
    return any(check.status is CheckStatus.failed for check in checks)
