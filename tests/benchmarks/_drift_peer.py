"""A peer of the drift benchmarks, in a process and an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("_drift_peers.py")


class Peer:
    """A process that answers one request after another."""

    def __init__(self, venv: Path) -> None:
        command = [str(venv / "bin/python"), str(SCRIPT)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, question: str, **request: Any) -> dict[str, Any]:
        """Raises RuntimeError: the process ended instead of answering."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"ask": question, **request}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def has(venv: Path | None, package: str) -> bool:
    """Whether an environment holds a package."""
    return venv is not None and any((venv / "lib").glob(f"python*/site-packages/{package}"))
