"""A dataset, a remote, and a colleague who has nothing but what is committed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dvc.repo import Repo

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import open_store


def write_table(path: Path, num_rows: int = 60) -> Path:
    rows = "\n".join(f"{n * n % 17},{n % 5},{'yes' if n % 2 else 'no'}" for n in range(num_rows))
    path.write_text(f"a,b,label\n{rows}\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class Shared:
    """A dataset that was pushed, and where."""

    dataset: Artifact
    remote: Path
    here: Path

    def objects(self) -> list[Path]:
        return sorted(path for path in self.remote.rglob("*") if path.is_file())

    def object_of(self, name: str) -> Path:
        """Where the remote keeps one file of the dataset."""
        content = (self.dataset.path / name).read_bytes()
        (found,) = [path for path in self.objects() if path.read_bytes() == content]
        return found

    @property
    def listing(self) -> Path:
        (found,) = [path for path in self.objects() if path.suffix == ".dir"]
        return found


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shared:
    here, remote = tmp_path / "here", tmp_path / "remote"
    here.mkdir()
    monkeypatch.chdir(here)
    dataset = mltool.data.add(source=str(write_table(here / "iris.csv")))
    mltool.data.push(remote=str(remote))
    return Shared(dataset, remote, here)


Colleague = Callable[[], Path]


@pytest.fixture
def colleague(shared: Shared, tmp_path: Path) -> Iterator[Path]:
    """The current folder is a clone: names and pointers, and no data."""
    there = tmp_path / "there"
    shutil.copytree(shared.here / ".mltool" / "refs", there / ".mltool" / "refs")
    with contextlib.chdir(there):
        yield there


def spoil(path: Path) -> None:
    """Change an object as a failing disk does: its size and its rights stay."""
    mode = path.stat().st_mode
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    path.chmod(mode)


def nothing_half_made() -> bool:
    """Whether the store holds no part of anything."""
    store = open_store()
    left = [*store.artifacts.glob("*"), *(path for path in store.staging.glob("*") if not path.name.endswith(".lock"))]
    return not left


def dvc_project(folder: Path, remote: Path | None, *, git: bool = True) -> Repo:
    """A project of somebody who tracks a table and a folder with DVC, and said nothing of `verify`."""
    if git:
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
    with contextlib.chdir(folder):
        Repo.init(no_scm=not git).close()
        repo = Repo()
        if remote is not None:
            with repo.config.edit() as config:
                config["remote"]["origin"] = {"url": os.path.relpath(remote)}
                config["core"]["remote"] = "origin"
        write_table(Path("iris.csv"))
        Path("pics").mkdir()
        for number in range(3):
            Path(f"pics/{number}.bin").write_bytes(os.urandom(500))
        repo = Repo()
        repo.add(["iris.csv", "pics"])
    return repo


def committed_files(folder: Path) -> dict[str, bytes]:
    """Every file that a commit would hold, with its content; ours are left out."""
    hidden = {".git", ".mltool", "tmp", "cache", "iris.csv", "pics"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not hidden & set(path.relative_to(folder).parts)
    }


def run_in(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "mltool", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
