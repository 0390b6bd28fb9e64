"""Where a source came from: the git commit and the DVC hash of what was read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from mltool.core.config.settings import find_project

_GIT = ("git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
"""Git that runs no hook and no monitor which the settings of a repository name: the data may come from anywhere."""


def provenance(source: Path) -> dict[str, Any]:
    """What version control knows of a file or folder; empty where it knows nothing."""
    return {**_git(source), **_dvc(source)}


def _git(source: Path) -> dict[str, Any]:
    folder = source if source.is_dir() else source.parent

    def ask(*arguments: str) -> str | None:
        try:
            answer = subprocess.run([*_GIT, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    commit, top = ask("rev-parse", "HEAD"), ask("rev-parse", "--show-toplevel")
    if commit is None or top is None:
        return {}
    # `status` runs the filters that a repository names, so it is asked of the user's own alone.
    if not find_project().is_relative_to(Path(top).resolve()):
        return {"git_commit": commit}
    return {"git_commit": commit, "git_dirty": bool(ask("status", "--porcelain", "--untracked-files=no"))}


def _dvc(source: Path) -> dict[str, Any]:
    """The hash in `source.dvc`, or in the `.dvc` file of a folder above it."""
    source = source.resolve()
    for path in (source, *list(source.parents)[:4]):
        pointer = path.parent / f"{path.name}.dvc"
        if not path.name or not pointer.is_file():
            continue
        try:
            outs = yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"]
            return {"dvc_file": pointer.name, "dvc_md5": outs[0]["md5"]}
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, IndexError, TypeError):
            return {"dvc_file": pointer.name}
    return {}
