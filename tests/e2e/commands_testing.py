"""mltool as a user has it: commands in a project's folder, and requests to what they have started."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sysconfig
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MLTOOL = str(Path(sysconfig.get_path("scripts")) / "mltool")
_NOT_SOURCES = {".mltool", "__pycache__"}


def mltool(project: Path, *arguments: str, code: int = 0, **environment: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    process = subprocess.run(
        [MLTOOL, *arguments, "--json"],
        cwd=project, capture_output=True, text=True, timeout=300, env=clean_environment(**environment),
    )  # fmt: skip
    assert process.returncode == code, f"{arguments}: {process.returncode}\n{process.stdout}\n{process.stderr}"
    answer: dict[str, Any] = json.loads(process.stdout)
    return answer


@contextmanager
def running(project: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """A command that stays, and the JSON that it prints once it is ready."""
    process = subprocess.Popen(
        [MLTOOL, *arguments, "--json"],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=clean_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    with process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
    assert process.returncode == 0


def clean_environment(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith("MLTOOL_")}, **more}


def sources(project: Path, ignored: frozenset[str] = frozenset()) -> dict[str, str]:
    """The digest of every file of a project that is not ours.

    Args:
        ignored: Names of more folders that do not count.
    """
    left_out = _NOT_SOURCES | ignored
    paths = [path.relative_to(project) for path in project.rglob("*") if path.is_file()]
    return {
        str(path): hashlib.sha256((project / path).read_bytes()).hexdigest()
        for path in paths
        if not left_out & set(path.parts)
    }


def post(url: str, body: bytes, content_type: str = "application/json", **headers: str) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/predict", body, {"content-type": content_type, **headers}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return dict(json.load(answer))
