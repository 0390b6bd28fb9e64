from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mltool.datasets.provenance import provenance

TABLE = "a,y\n1,cat\n2,dog\n"


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that no repository holds, and no settings of whoever runs the test."""
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
    }.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def repository(outside: Path) -> Path:
    git(outside, "init", "-q")
    git(outside, "config", "user.email", "somebody@example.org")
    git(outside, "config", "user.name", "Somebody")
    (outside / "data").mkdir()
    (outside / "data" / "x.csv").write_text(TABLE)
    git(outside, "add", ".")
    git(outside, "commit", "-q", "-m", "data")
    return outside


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def dvc(folder: Path, *arguments: str) -> None:
    # Its own site cache and home, so that nothing outside of the test is written.
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True, capture_output=True)


def test_outside_of_version_control_nothing_is_known(outside: Path) -> None:
    (outside / "x.csv").write_text(TABLE)
    assert provenance(outside / "x.csv") == {}
    assert provenance(outside / "missing" / "x.csv") == {}


def test_a_file_in_the_projects_repository_has_its_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    commit = git(repository, "rev-parse", "HEAD")
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert provenance(repository / "data" / "x.csv") == {"git_commit": commit, "git_dirty": False}
    assert provenance(repository / "data") == {"git_commit": commit, "git_dirty": False}
    (repository / "new.txt").write_text("not tracked")
    assert provenance(repository / "data")["git_dirty"] is False
    (repository / "data" / "x.csv").write_text(TABLE + "3,cat\n")
    assert provenance(repository / "data" / "x.csv") == {"git_commit": commit, "git_dirty": True}


def test_a_repository_without_a_commit_says_nothing(outside: Path) -> None:
    git(outside, "init", "-q")
    (outside / "x.csv").write_text(TABLE)
    assert provenance(outside / "x.csv") == {}


def test_without_git_nothing_is_known_and_nothing_fails(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository / "data"))
    assert provenance(repository / "data" / "x.csv") == {}


def test_what_dvc_tracks_has_its_hash(repository: Path) -> None:
    folder = repository / "pictures"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "1.txt").write_text("meow")
    (repository / "table.csv").write_text(TABLE)
    dvc(repository, "init", "-q")
    dvc(repository, "add", "-q", "table.csv", "pictures")

    import hashlib

    table = provenance(repository / "table.csv")
    assert table["dvc_file"] == "table.csv.dvc"
    assert table["dvc_md5"] == hashlib.md5(TABLE.encode(), usedforsecurity=False).hexdigest()
    assert len(table["git_commit"]) == 40
    pictures = provenance(folder)
    assert pictures["dvc_file"] == "pictures.dvc"
    assert re.fullmatch(r"[0-9a-f]{32}\.dir", pictures["dvc_md5"])
    # A file within a tracked folder has the hash of the folder.
    assert provenance(folder / "cats" / "1.txt")["dvc_md5"] == pictures["dvc_md5"]
    assert provenance(Path(os.path.relpath(folder)))["dvc_md5"] == pictures["dvc_md5"]


@pytest.mark.parametrize("content", ["", "outs: []", "outs: [{path: x.csv}]", "outs: 3", "- 1", "outs: [", "\udcff"])
def test_a_damaged_dvc_file_is_named_without_a_hash(outside: Path, content: str) -> None:
    (outside / "x.csv").write_text(TABLE)
    (outside / "x.csv.dvc").write_bytes(content.encode(errors="surrogateescape"))
    assert provenance(outside / "x.csv") == {"dvc_file": "x.csv.dvc"}


@pytest.mark.skipif(os.name == "nt", reason="the monitor is a shell script")
def test_no_program_that_a_repository_of_somebody_else_names_is_run(repository: Path) -> None:
    program, trace = repository / "program", repository / "trace"
    program.write_text(f"#!/bin/sh\ntouch '{trace}'\ncat\n")
    program.chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=evil\n")
    git(repository, "config", "core.fsmonitor", str(program))
    git(repository, "config", "filter.evil.clean", str(program))
    data = repository / "data" / "x.csv"
    data.write_text(TABLE[::-1])  # of equal size, so that only its content tells
    os.utime(data, (1, 1))
    assert provenance(data).keys() == {"git_commit"}
    assert not trace.exists()
    git(repository, "-c", "core.fsmonitor=false", "status")
    assert trace.exists(), "the trap is real"
