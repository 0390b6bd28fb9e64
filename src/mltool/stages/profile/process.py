"""Asks a new process to measure, and passes on what it says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import IO, Any

from mltool.core import errors
from mltool.core.errors import MltoolError
from mltool.stages.profile.measure import Subject


def ask(work: str, subjects: Sequence[Subject], on_step: Callable[[], object], **wanted: Any) -> Any:
    """What a function of `measure` returns in a process of its own.

    Raises:
        MltoolError: What was raised there, or that the process died.
    """
    request = {"work": work, "subjects": [asdict(subject) for subject in subjects], **wanted}
    # -P: a file in the current folder must not take the place of a library's.
    arguments = [sys.executable, "-P", "-m", "mltool.stages.profile.measure", json.dumps(request)]
    answer: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile() as talk,
        subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=talk, text=True, encoding="utf-8"
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                answer = json.loads(line)
                if "step" in answer:
                    on_step()
        except BaseException:  # Ctrl-C, too: nothing goes on behind the back of who pressed it
            process.kill()
            raise
        process.wait()
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"], hint=answer["hint"])
        if "result" not in answer:
            names = ", ".join(f"`{subject.label}`" for subject in subjects)
            raise MltoolError(
                f"the process that ran {names} {_end(process.returncode, talk)}",
                hint="give smaller `batch_sizes`, or another `backend`",
            )
    return answer["result"]


def _end(code: int, talk: IO[bytes]) -> str:
    if code < 0:
        return f"was stopped by {signal.Signals(-code).name}"
    talk.seek(0)
    lines = talk.read().decode(errors="replace").strip().splitlines()
    return f"ended with {code}" + (f": {lines[-1]}" if lines else "")
