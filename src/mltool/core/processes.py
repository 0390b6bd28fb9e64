"""Whether a process that was started earlier still runs, and is not another one that was given its number since."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path


def identity(pid: int) -> str | None:
    """What tells a running process from all that had its number before or will have it; None if it does not run.

    It is when the process started, and, where the system says, since which boot of the machine that is counted. A
    process that ended but was not waited for does not run. Windows tells neither, so there it is always None.
    """
    if pid <= 0:
        return None
    if not Path("/proc/self/stat").exists():
        return _by_ps(pid)
    try:
        # The name of the program comes second, in brackets, and may hold brackets and spaces of its own.
        state, *later = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
        return None if state in ("Z", "X") else f"{later[18]} {_boot_id()}".strip()  # field 22: ticks since the boot
    except (OSError, IndexError):
        return None


def is_running(pid: int, expected: str | None) -> bool:
    """Whether the process still runs whose `identity` was `expected`; whatever else has its number does not count."""
    return expected is not None and identity(pid) == expected


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.SubprocessError):
        return None
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else " ".join(started.split())
