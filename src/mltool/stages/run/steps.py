"""One step: run by DVC, and what came of it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.core import events
from mltool.core.config.settings import STEP_VARIABLE
from mltool.core.errors import CheckError, MltoolError
from mltool.integrations.dvc.pipeline import Pipeline, StepFailedError
from mltool.stages.run.folder import result_of

_FINDINGS = {"quantize": CheckError.exit_code}
"""Where a failed check is a result like another: the float model stays."""
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of one step."""

    name: str
    command: str
    outcome: str
    """`ran`, `unchanged`, or `refused` (a check failed, and the model stays as it is)."""
    seconds: float | None
    """When it last ran; None if that is not known."""

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "command": self.command, "outcome": self.outcome, "seconds": self.seconds}


class StepError(MltoolError):
    """A step failed; it ends with what the step ended with."""

    def __init__(self, message: str, *, hint: str | None, exit_code: int) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


def run_step(road: Pipeline, folder: Path, name: str, command: str, *, quiet: bool) -> StepOutcome:
    began = time.monotonic()
    try:
        with _talk_of_steps(quiet=quiet):
            ran = road.run(name, lambda started: events.info(f"{started}: {command}" if started == name else started))
    except StepFailedError as error:
        if error.exit_code == _INTERRUPTED or error.exit_code < 0:
            raise KeyboardInterrupt from error
        failure = _failure(folder, name)
        if _FINDINGS.get(name) == error.exit_code:
            events.warning(f"{name}: {failure[0]}; the road goes on with the model as it is")
            return StepOutcome(name, command, "refused", time.monotonic() - began)
        message, hint = failure
        raise StepError(
            f"`{name}` ended with {error.exit_code}: {message}",
            hint=f"{f'{hint}; then ' if hint else ''}`mltool run` goes on from there; the step is `{command}`",
            exit_code=error.exit_code if error.exit_code in range(1, 6) else MltoolError.exit_code,
        ) from error
    return StepOutcome(name, command, "ran", time.monotonic() - began) if ran else unchanged(name, command)


def unchanged(name: str, command: str) -> StepOutcome:
    events.info(f"{name}: nothing has changed")
    return StepOutcome(name, command, "unchanged", None)


@contextlib.contextmanager
def _talk_of_steps(*, quiet: bool) -> Iterator[None]:
    """Let the steps find their mltool, and be silent if that is wanted: they write to our own standard error."""
    path, bin_folder = os.environ.get("PATH", ""), str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([bin_folder, path])
    os.environ[STEP_VARIABLE] = "1"
    saved = None
    if quiet:
        sys.stderr.flush()
        saved = os.dup(2)
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.environ["PATH"] = path
        del os.environ[STEP_VARIABLE]
        if saved is not None:
            os.dup2(saved, 2)
            os.close(saved)


def _failure(folder: Path, name: str) -> tuple[str, str | None]:
    """What a step said when it failed: message and hint."""
    error = result_of(folder, name).get("error", {})
    return str(error.get("message", "it says no more; run the step by hand")), error.get("hint")
