"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mltool.artifacts.checks import Check

PASSED = (Check.at_most("export_difference", 2e-6, 1e-4), Check.not_run("robustness", "no perturbed samples"))
FAILED = (Check.failed("export", "`forward` branches on a tensor at src/model.py:12"),)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Mltool = Callable[..., Outcome]
