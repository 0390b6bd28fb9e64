"""How numbers, sizes and times are written for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mltool.artifacts.checks import Check, CheckStatus


def number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def difference(before: float, after: float) -> str:
    """`after` minus `before` with its sign, and as a share of `before` where a person can picture it."""
    change = after - before
    if change == 0:
        return "="
    share = f" ({change / abs(before):+.1%})" if before and abs(change / before) < 10 else ""
    return f"{'+' if change > 0 else '-'}{number(abs(change))}{share}"


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def plain(value: Any) -> str:
    """Plain data on one line, without brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else str(value)


def day(created_utc: str) -> str:
    return created_utc[:16].replace("T", " ")


def count(num: int, noun: str) -> str:
    return f"{num:,} {noun}" if num == 1 else f"{num:,} {noun}s"


def verdict(checks: Sequence[Check]) -> tuple[str, str]:
    """The status of all checks together, and what to say about them."""
    failed = [check.id for check in checks if check.status is CheckStatus.failed]
    if failed:
        return "failed", f"failed: {', '.join(failed)}"
    num_passed = sum(check.status is CheckStatus.passed for check in checks)
    num_not_run = len(checks) - num_passed
    if not num_passed:
        return "not_run", "none run" if checks else "no checks"
    return "passed", f"{num_passed} passed" + (f", {num_not_run} not run" if num_not_run else "")
