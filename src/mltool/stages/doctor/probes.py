"""Which libraries work, each tried in a process of its own: one that crashes or hangs is a row and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from mltool.core import events, host
from mltool.stages.doctor.finding import Row, State
from mltool.stages.doctor.fitting import extra_of
from mltool.stages.doctor.installed import Installed
from mltool.stages.doctor.library import TRIALS

LIMIT_S = 90.0
"""Of one library; importing the largest takes seconds, and a minute from a cold disk."""
_AREA = "libraries"
_MAX_AT_ONCE = 4
_LOOK_S = 0.05


def libraries(installed: Installed, limit_s: float = LIMIT_S, names: Iterable[str] = TRIALS) -> list[Row]:
    """A row for each library that mltool may use; one that is no part of it, such as torchvision, only if it is there.

    Args:
        limit_s: Seconds that each has to show that it works.
    """
    rows = {name: row for name in names if (row := _absent(name, installed)) is not None}
    present = {name: version for name in names if (version := installed.version(name)) is not None}
    with (
        events.track("try", len(present), "libraries") as bar,
        ThreadPoolExecutor(min(_MAX_AT_ONCE, host.num_cores())) as pool,
    ):
        stop = threading.Event()
        waiting = {
            pool.submit(_tried, name, version, limit_s, stop, is_core=name in installed.core): name
            for name, version in present.items()
        }
        try:
            for future in as_completed(waiting):
                rows[waiting[future]] = future.result()
                bar.advance(1, waiting[future])
        except BaseException:  # Ctrl-C
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[name] for name in names if name in rows]


def _absent(name: str, installed: Installed) -> Row | None:
    extra = extra_of(name, installed)
    if name in installed.core:
        return Row(_AREA, name, State.broken, "is not installed", f'pip install "{name}"', is_core=True)
    return Row(_AREA, name, State.absent, "is not installed", f'pip install "mltool[{extra}]"') if extra else None


def _tried(name: str, version: str, limit_s: float, stop: threading.Event, *, is_core: bool) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        # -P: a file `torch.py` in the current folder is the project's own.
        problem = _run([sys.executable, "-P", "-m", "mltool.stages.doctor.library", name, str(result)], limit_s, stop)
        answer: dict[str, str] = {}
        if problem is None:
            try:
                answer = json.loads(result.read_bytes())
            except (OSError, ValueError):
                problem = "it ended without a word"
    problem = problem or answer.get("error")
    if problem is None:
        return Row(_AREA, name, State.fine, ", ".join(filter(None, (version, answer["detail"]))), is_core=is_core)
    state = State.broken if is_core else State.warning
    mend = f'pip install --force-reinstall "{name}"'
    return Row(_AREA, name, state, f"{version} does not work: {problem}", mend, is_core)


def _run(command: list[str], limit_s: float, stop: threading.Event) -> str | None:
    """Run a trial to its end; what went wrong if it did not come to one."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "0", "WANDB_MODE": "disabled", "DVC_NO_ANALYTICS": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        started = time.monotonic()
        try:
            while (code := process.poll()) is None:
                if time.monotonic() - started > limit_s or stop.wait(_LOOK_S):
                    return f"it did not answer within {limit_s:.0f} s"
        finally:
            _end(process)
        if code < 0:
            return f"it crashed with {signal.Signals(-code).name}"
        log.seek(0)
        lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        return None if code == 0 else lines[-1] if lines else f"it ended with {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a trial and whatever it started."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
