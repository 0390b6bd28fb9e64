"""What a project tracks with DVC already is pushed and pulled along, and left as it is."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

import mltool
from data_remotes import committed_files, dvc_project, run_in, spoil
from mltool.cli.app import run
from mltool.core import events
from mltool.core.errors import ArtifactError, ConfigError, DataError, RemoteError
from user_project import said

__all__ = ["said"]
pytestmark = [
    pytest.mark.xdist_group("dvc"),
    pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning"),  # of DVC, where a test calls it itself
]


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "project"
    folder.mkdir()
    dvc_project(folder, folder.parent / "remote").close()
    return folder


@pytest.fixture
def tracked(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is a project whose table and pictures DVC tracks; the remote is empty."""
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    return folder


def clone(project: Path, name: str = "clone") -> Path:
    """What a colleague has: all but the data and DVC's cache."""
    there = project.parent / name
    ignored = shutil.ignore_patterns("iris.csv", "pics", "cache", "tmp", "artifacts", "runs", "staging", "*.lock")
    shutil.copytree(project, there, ignore=ignored)
    return there


def content(folder: Path) -> dict[str, bytes]:
    files = [folder / "iris.csv", *sorted((folder / "pics").glob("*"))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_what_dvc_tracks_is_pushed_and_pulled_and_no_file_of_the_project_changes(tracked: Path) -> None:
    before, data = committed_files(tracked), content(tracked)
    moved = mltool.data.push()
    assert [out.path.name for out in moved.tracked] == ["iris.csv", "pics"]
    assert moved.num_tracked_moved == 5  # the table, three pictures and their listing
    assert mltool.data.push().num_tracked_moved == 0
    assert committed_files(tracked) == before
    there = clone(tracked)
    with contextlib.chdir(there):
        assert mltool.data.pull().num_tracked_moved == 5
        assert content(there) == data
        assert committed_files(there) == before
        assert Repo().status() == {}


def test_dvc_pulls_what_was_pushed(tracked: Path) -> None:
    mltool.data.push()
    there = clone(tracked)
    with contextlib.chdir(there):
        Repo().pull()
    assert content(there) == content(tracked)


def test_mltool_pulls_what_dvc_pushed(tracked: Path) -> None:
    Repo().push()
    there = clone(tracked)
    with contextlib.chdir(there):
        mltool.data.pull()
    assert content(there) == content(tracked)


def test_a_dataset_takes_along_the_file_that_it_was_made_of_and_no_other(tracked: Path) -> None:
    mltool.data.add(source="iris.csv")
    moved = mltool.data.push("iris")
    assert [out.path.name for out in moved.tracked] == ["iris.csv"]
    assert moved.remote == moved.tracked_remote == str(tracked.parent / "remote")
    there = clone(tracked)
    with contextlib.chdir(there):
        mltool.data.pull("iris")
        assert Path("iris.csv").is_file()
        assert not Path("pics").exists()


def test_the_projects_own_dvc_does_not_see_our_pointers(tracked: Path) -> None:
    mltool.data.add(source="iris.csv")
    mltool.data.push()
    assert Repo().status() == {}
    assert sorted(out.path.name for out in mltool.data.tracked()) == ["iris.csv", "pics"]
    there = clone(tracked)
    with contextlib.chdir(there):
        Repo().pull()
        assert not list(Path(".mltool").glob("artifacts/*"))


def test_a_remote_without_verify_is_verified_and_that_is_said(tracked: Path, said: list[str]) -> None:
    mltool.data.push()
    there = clone(tracked)
    with contextlib.chdir(there):
        mltool.data.pull()
    assert "the remote `origin` has no `verify = true`; what arrives is compared with its hashes all the same" in said


@pytest.mark.parametrize("size", ["file", "folder", "listing"])
def test_a_damaged_object_is_refused_and_no_file_is_touched(
    tracked: Path, remote: Path, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mltool.data.push()
    objects = [path for path in remote.rglob("*") if path.is_file()]
    table = (tracked / "iris.csv").read_bytes()
    fits = {
        "file": lambda path: path.read_bytes() == table,
        "folder": lambda path: path.stat().st_size == 500,
        "listing": lambda path: path.suffix == ".dir",
    }[size]
    doomed = next(path for path in objects if fits(path))
    spoil(doomed)
    there = clone(tracked)
    with contextlib.chdir(there):
        assert run(["data", "pull"]) == 3
        err = capsys.readouterr().err
        assert f"is damaged in the remote: `{doomed}` is not what its hash says" in err
        assert not Path("iris.csv").exists()
        assert not Path("pics").exists()


def test_a_folder_that_is_here_outlives_a_damaged_remote(tracked: Path, remote: Path) -> None:
    """DVC would delete the folder that it cannot make whole."""
    mltool.data.push()
    there = clone(tracked)
    with contextlib.chdir(there):
        mltool.data.pull()
    (tracked / "pics" / "3.bin").write_bytes(b"new")
    Repo().add("pics")
    mltool.data.push()
    (doomed,) = [path for path in remote.rglob("*") if path.is_file() and path.read_bytes() == b"new"]
    spoil(doomed)
    shutil.copy(tracked / "pics.dvc", there / "pics.dvc")
    before = content(there)
    with contextlib.chdir(there), pytest.raises(ArtifactError, match="is damaged in the remote"):
        mltool.data.pull()
    assert content(there) == before


def test_an_object_that_is_missing_is_named(tracked: Path, remote: Path) -> None:
    mltool.data.push()
    doomed = next(path for path in remote.rglob("*") if path.is_file() and path.stat().st_size == 500)
    doomed.unlink()
    with contextlib.chdir(clone(tracked)), pytest.raises(ArtifactError, match=f"`{doomed}` is missing"):
        mltool.data.pull()


def test_what_was_changed_here_is_not_lost_by_a_pull(tracked: Path) -> None:
    mltool.data.push()
    (tracked / "iris.csv").write_text("mine\n")
    with pytest.raises(DataError, match=r"iris.csv` was changed here, and pulling would lose that"):
        mltool.data.pull()
    assert (tracked / "iris.csv").read_text() == "mine\n"


def test_what_is_in_no_cache_cannot_be_pushed(tracked: Path) -> None:
    shutil.rmtree(tracked / ".dvc" / "cache")
    with pytest.raises(ArtifactError, match="not all of it is in DVC's cache or in the remote"):
        mltool.data.push()


@pytest.mark.parametrize(
    ("name", "text"),
    [("pics.dvc", "outs: ["), ("pics.dvc", "outs:\n- md5: 1\n  pth: pics\n"), ("dvc.yaml", "stages: 3\n")],
)
def test_a_broken_file_of_dvc_is_named(tracked: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tracked / name).write_text(text)
    with pytest.raises(DataError, match=name):
        mltool.data.push()
    mltool.data.add(source="iris.csv")
    assert run(["data", "list"]) == 0
    shown = capsys.readouterr()
    assert "iris@1" in shown.out
    assert name in shown.err


def test_no_remote_anywhere_is_said_and_data_remote_serves_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    dvc_project(folder, None).close()
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match="no remote is configured"):
        mltool.data.push()
    before = committed_files(folder)
    moved = mltool.data.push(remote=str(tmp_path / "other"))
    assert moved.tracked_remote == str(tmp_path / "other")
    assert committed_files(folder) == before
    with contextlib.chdir(clone(folder)):
        assert mltool.data.pull(remote=str(tmp_path / "other")).num_tracked_moved == 5


def test_a_project_without_git_and_one_below_the_top_are_projects_of_dvc_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    (folder / "below").mkdir(parents=True)
    dvc_project(folder, tmp_path / "remote", git=False).close()
    monkeypatch.chdir(folder / "below")
    assert mltool.data.push().num_tracked_moved == 5


def test_git_may_be_absent(tracked: Path, tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    process = run_in(tracked, "data", "push", "--json", PATH=str(empty))
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["num_tracked_moved"] == 5


def test_a_remote_that_cannot_be_made_is_no_access(tracked: Path, remote: Path) -> None:
    remote.write_text("")
    with pytest.raises(RemoteError, match="cannot be used: a file stands where a folder is needed"):
        mltool.data.push()


def test_a_dry_run_says_what_would_be_sent(tracked: Path, remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "push", "--dry-run", "--json"]) == 0
    assert [Path(path).name for path in json.loads(capsys.readouterr().out)["tracked"]] == ["iris.csv", "pics"]
    assert not [path for path in remote.rglob("*") if path.is_file()]
    mltool.data.push()
    assert run(["data", "push", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tracked"] == []


def test_the_list_says_what_dvc_tracks_and_where_it_is(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def where(*arguments: str) -> list[bool | None]:
        assert run(["data", "list", "--json", *arguments]) == 0
        return [out["in_remote"] for out in json.loads(capsys.readouterr().out)["tracked"]]

    assert where() == [None, None]
    assert where("--ask") == [False, False]
    mltool.data.push()
    assert where("--ask") == [True, True]


def test_another_process_of_dvc_is_waited_for(tracked: Path) -> None:
    hold = (
        "from dvc.repo import Repo, lock_repo; repo = Repo()\nwith lock_repo(repo): print('held', flush=True); input()"
    )
    push = [sys.executable, "-m", "mltool", "data", "push", "--quiet"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", hold], **pipes) as holder:  # type: ignore[call-overload]
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen([*push[:-1]], **pipes) as process:  # type: ignore[call-overload]
            assert process.stderr.readline().startswith("waiting for another process of DVC")
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert process.wait(60) == 0


def test_two_pushes_at_once_both_succeed(tracked: Path) -> None:
    command = [sys.executable, "-m", "mltool", "data", "push", "--quiet"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]


def test_dvc_neither_draws_nor_asks_the_network(tracked: Path) -> None:
    process = run_in(tracked, "data", "push", DVC_IGNORE_ISATTY="1")
    assert process.returncode == 0
    assert [line for line in process.stderr.splitlines() if not line.startswith("push")] == []


def test_progress_reaches_its_end_and_the_users_folder_stays_empty(tracked: Path, tmp_path: Path) -> None:
    seen: list[events.Progress] = []
    with events.subscribed(lambda e: seen.append(e) if isinstance(e, events.Progress) else None):
        mltool.data.push()
        with contextlib.chdir(clone(tracked)):
            mltool.data.pull()
    for task in ("push", "pull"):
        assert [(e.done, e.total) for e in seen if e.task == task][-1] == (5, 5)
    home = tmp_path / "home"
    home.mkdir()
    folders = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache")}
    assert run_in(tracked, "data", "push", **folders).returncode == 0
    assert not [path for path in home.rglob("*") if path.is_file()], "no id of the machine, as DVC's statistics keep"
