"""Whether images can really be built here: that takes buildah and the base image, `buildah pull python:3.11-slim`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

BASE = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
LOCK = FileLock(Path(tempfile.gettempdir()) / "mltool-test-buildah.lock")


def buildah(*arguments: str, text: str | None = None) -> str:
    ended = subprocess.run(["buildah", *arguments], capture_output=True, text=True, input=text)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def why_not() -> str | None:
    if shutil.which("buildah") is None:
        return "buildah is not installed"
    asked = subprocess.run(["buildah", "inspect", "--type", "image", f"docker.io/library/{BASE}"], capture_output=True)
    return None if asked.returncode == 0 else f"the image `{BASE}` is not here (`buildah pull {BASE}`)"
