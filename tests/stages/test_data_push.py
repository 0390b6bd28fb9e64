"""Datasets pushed to a folder and pulled by somebody else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mltool
from data_remotes import Shared, colleague, nothing_half_made, run_in, shared, spoil, write_table
from mltool.artifacts import pointers
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.cli.app import run
from mltool.core import events
from mltool.core.errors import ArtifactError, ConfigError, DataError, RemoteError
from user_project import said

__all__ = ["colleague", "said", "shared"]


def test_a_colleague_pulls_what_was_pushed_and_it_is_the_same(shared: Shared, colleague: Path) -> None:
    moved = mltool.data.pull("iris@1", remote=str(shared.remote))
    (one,) = moved.datasets
    assert (one.ref, one.digest, one.num_moved) == ("iris@1", shared.dataset.digest, one.num_files)
    assert one.path.is_relative_to(colleague)
    assert Artifact.open(one.path).digest == shared.dataset.digest
    assert mltool.data.load("iris").ref == "iris@1"
    assert mltool.data.show("iris")["num_rows"]["train"] > 0


def test_a_pulled_dataset_trains(shared: Shared, colleague: Path) -> None:
    mltool.data.pull(remote=str(shared.remote))
    model = mltool.train("data.source=iris", epochs=1, batch_size=16)
    assert [parent.digest for parent in model.manifest.parents] == [shared.dataset.digest]


def test_the_pointer_is_one_of_dvc_and_names_what_the_remote_lists(shared: Shared) -> None:
    store = open_store()
    pointer = pointers.read(store, shared.dataset.digest)
    assert pointer is not None
    assert shared.listing.parent.name + shared.listing.name == pointer.oid
    assert [entry["relpath"] for entry in json.loads(shared.listing.read_text())] == sorted(
        path.relative_to(shared.dataset.path).as_posix() for path in shared.dataset.path.rglob("*") if path.is_file()
    )
    assert pointers.path_of(store, shared.dataset.digest).with_name(".dvcignore").is_file()


def test_dvc_itself_takes_the_pointer(shared: Shared, tmp_path: Path) -> None:
    from dvc.repo import Repo

    other = tmp_path / "plain"
    other.mkdir()
    pointer = pointers.path_of(open_store(), shared.dataset.digest).read_text()
    (other / "data.dvc").write_text(pointer.replace("../../artifacts/", ""))
    Repo.init(str(other), no_scm=True).close()
    config = {"core": {"remote": "r"}, "remote": {"r": {"url": str(shared.remote), "verify": True}}}
    Repo(str(other), config=config).pull()
    assert Artifact.open(other / shared.dataset.digest[:12]).digest == shared.dataset.digest


def test_pushing_again_moves_nothing(shared: Shared) -> None:
    before = [(path, path.stat().st_mtime_ns) for path in shared.objects()]
    (one,) = mltool.data.push("iris", remote=str(shared.remote)).datasets
    assert (one.num_moved, one.moved_bytes) == (0, 0)
    assert [(path, path.stat().st_mtime_ns) for path in shared.objects()] == before


def test_pulling_what_is_here_moves_nothing_and_needs_no_remote(shared: Shared, tmp_path: Path) -> None:
    shutil.move(shared.remote, tmp_path / "away")
    (one,) = mltool.data.pull("iris").datasets
    assert one.num_moved == 0


def test_a_push_that_was_interrupted_is_no_dataset_yet_and_can_be_repeated(shared: Shared, colleague: Path) -> None:
    shared.listing.unlink()
    shared.object_of("train/numbers.npy").unlink()
    with pytest.raises(ArtifactError, match="is not whole in"):
        mltool.data.pull("iris", remote=str(shared.remote))
    os.chdir(shared.here)
    assert mltool.data.push("iris", remote=str(shared.remote)).datasets[0].num_moved <= 1
    os.chdir(colleague)
    assert mltool.data.pull("iris", remote=str(shared.remote)).datasets[0].num_moved


def test_each_name_is_pushed_in_its_newest_version(shared: Shared) -> None:
    write_table(Path("iris.csv"), 80)
    second = mltool.data.add(source="iris.csv")
    mltool.data.add(source=str(write_table(Path("corn.csv"), 70)))
    moved = mltool.data.push(remote=str(shared.remote))
    assert [one.ref for one in moved.datasets] == ["corn@1", "iris@2"]
    assert second.ref == "iris@2"
    assert [one.ref for one in mltool.data.push("iris@1", remote=str(shared.remote)).datasets] == ["iris@1"]


def test_the_address_may_stand_in_the_project_and_is_meant_from_there(shared: Shared) -> None:
    Path("mltool.yaml").write_text("version: 1\ndata:\n  remote: ../remote\n")
    Path("below").mkdir()
    os.chdir("below")
    assert mltool.data.push("iris").remote == str(shared.remote)


def test_the_address_changes_neither_the_dataset_nor_a_model(shared: Shared) -> None:
    again = mltool.data.add(source="iris.csv", remote="gs://elsewhere/x")
    assert again.digest == shared.dataset.digest
    assert mltool.data.load(mltool.data.add(source="iris@1", remote="x").digest).ref == "iris@1"


@pytest.mark.parametrize("name", ["train", "listing"])
def test_a_damaged_object_is_refused_and_nothing_bad_lands(
    shared: Shared, colleague: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    doomed = shared.listing if name == "listing" else shared.object_of("train/target.npy")
    spoil(doomed)
    assert run(["data", "pull", "iris", f"remote={shared.remote}"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert f"`iris@1` is damaged in `{shared.remote}`: `{doomed}` is not what its hash says" in err
    assert "push iris@1` again where the dataset is" in err
    assert nothing_half_made()
    doomed.unlink()
    os.chdir(shared.here)
    mltool.data.push("iris", remote=str(shared.remote))
    os.chdir(colleague)
    assert mltool.data.pull("iris", remote=str(shared.remote)).datasets[0].digest == shared.dataset.digest


def test_a_missing_object_is_named(shared: Shared, colleague: Path) -> None:
    doomed = shared.object_of("schema.json")
    doomed.unlink()
    with pytest.raises(ArtifactError, match=f"`iris@1` is not whole in `{shared.remote}`: `{doomed}` is missing"):
        mltool.data.pull("iris", remote=str(shared.remote))
    assert nothing_half_made()


def test_objects_that_are_whole_but_of_another_dataset_are_refused(shared: Shared, colleague: Path) -> None:
    """Whoever can write to the remote and to the pointer still cannot pass off another dataset."""
    refs = colleague / ".mltool" / "refs" / "dataset" / "iris.json"
    refs.write_text(refs.read_text().replace(shared.dataset.digest, shared.dataset.digest[:12] + "0" * 52))
    with pytest.raises(ArtifactError, match="is not that dataset"):
        mltool.data.pull("iris", remote=str(shared.remote))
    assert nothing_half_made()


@pytest.mark.parametrize("path", ["../../outside", "/etc/outside", "train/../../outside", "..\\outside", "C:/outside"])
def test_a_listing_cannot_write_outside_its_folder(shared: Shared, colleague: Path, path: str) -> None:
    import hashlib

    entries = json.loads(shared.listing.read_text())
    entries[0]["relpath"] = path
    content = json.dumps(entries).encode()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    hostile = shared.remote / "files" / "md5" / md5[:2] / f"{md5[2:]}.dir"
    hostile.parent.mkdir(exist_ok=True)
    hostile.write_bytes(content)
    pointers.write(open_store(), shared.dataset.digest, pointers.Pointer(f"{md5}.dir", 1, 1))
    with pytest.raises(ArtifactError, match="cannot be a file of a dataset"):
        mltool.data.pull("iris", remote=str(shared.remote))
    assert nothing_half_made()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outs: [", "is damaged"),
        ("", "is damaged"),
        ("outs:\n- md5: abc\n  size: 1\n  nfiles: 1\n", "is no folder"),
        ("outs:\n- md5: ../../../../etc/x.dir\n  size: 1\n  nfiles: 1\n", "is no folder"),
        (f"outs:\n- md5: {'0' * 32}.dir\n  size: -1\n  nfiles: 1\n", "a size is below 0"),
        (f"outs:\n- md5: {'0' * 32}.dir\n  size: 1\n  nfiles: -1\n", "a size is below 0"),
    ],
)
def test_a_damaged_pointer_is_named(shared: Shared, colleague: Path, text: str, message: str) -> None:
    pointers.path_of(open_store(), shared.dataset.digest).write_text(text)
    with pytest.raises(ArtifactError, match=message):
        mltool.data.pull("iris", remote=str(shared.remote))


def test_a_damaged_dataset_is_not_pushed(shared: Shared, tmp_path: Path) -> None:
    spoil(shared.dataset.path / "train" / "target.npy")
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        mltool.data.push("iris", remote=str(tmp_path / "other"))
    assert not [*(tmp_path / "other").rglob("*.dir")]


def test_a_damaged_dataset_is_mended_by_a_pull(shared: Shared) -> None:
    spoil(shared.dataset.path / "train" / "target.npy")
    mltool.data.pull("iris", remote=str(shared.remote))
    assert mltool.data.load("iris").digest == shared.dataset.digest


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("push", "corn"), ArtifactError, "there is no dataset `corn`"),
        (("pull", "corn"), ArtifactError, "there is no dataset `corn`"),
        (("pull", "iris@9"), ArtifactError, "there is no `iris@9`"),
        (("push", "iris", "remote=foo://bar/x"), ConfigError, "`foo://bar/x` is no remote that DVC knows"),
        (("push", "iris", "remote=s3://bar/x"), ConfigError, "`s3://bar/x` needs `dvc-s3`"),
        (("push", "iris"), ConfigError, "no remote is configured"),
        (("push", "iris", "remte=x"), ConfigError, "unknown key `remte`"),
    ],
)
def test_what_cannot_be_moved_is_refused_in_one_line(
    shared: Shared, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    verb, *rest = arguments
    with pytest.raises(error, match=message.replace("`", "`")):
        getattr(mltool.data, verb)(*rest)


def test_nothing_to_push_and_nothing_to_pull_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no data to push"):
        mltool.data.push(remote="x")
    with pytest.raises(ArtifactError, match="there is no data to pull"):
        mltool.data.pull(remote="x")
    mltool.data.add(source=str(write_table(tmp_path / "iris.csv")))
    with pytest.raises(ArtifactError, match="`iris@1` was never pushed"):
        mltool.data.pull("iris", remote="x")


def test_a_remote_that_is_not_there_is_named(shared: Shared, colleague: Path, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=f"there is no folder `{tmp_path / 'nowhere'}`"):
        mltool.data.pull("iris", remote=str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    os.chdir(shared.here)
    with pytest.raises(RemoteError, match="a file stands where a folder is needed"):
        mltool.data.push("iris", remote=str(tmp_path / "file"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_folder_without_rights_is_no_access(shared: Shared, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(RemoteError, match=f"no access to `{closed}`"):
        mltool.data.push("iris", remote=str(closed))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is one of Linux")
def test_a_folder_that_cannot_be_made_is_no_access(shared: Shared, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "push", "iris", "remote=/proc/1/data"]) == 5
    assert "`/proc/1/data`" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(shared: Shared, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    assert run(["data", "push", f"remote={other}", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["datasets"]["iris@1"]["num_files_there"] == 0
    assert plan["datasets"]["iris@1"]["num_files"] > 0
    assert not other.exists()
    assert run(["data", "push", f"remote={shared.remote}", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["datasets"]["iris@1"]["num_files"] == 0


def test_the_list_says_where_each_dataset_is(
    shared: Shared, colleague: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # one line for each

    def where(*arguments: str) -> str:
        assert run(["data", "list", *arguments]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    assert where().endswith("pushed")
    assert where("--ask", f"remote={shared.remote}").endswith("in the remote")
    mltool.data.pull(remote=str(shared.remote))
    assert where().endswith("here, pushed")
    shared.listing.unlink()
    assert where("--ask", f"remote={shared.remote}").endswith("here, lost in the remote")
    assert run(["data", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["datasets"]
    assert (row["state"], row["pushed"], row["in_remote"]) == ("here", True, None)


def test_quiet_prints_what_to_commit_and_where_the_data_is(
    shared: Shared, colleague: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "pull", f"remote={shared.remote}", "--quiet"]) == 0
    (path,) = capsys.readouterr().out.splitlines()
    assert Path(path).is_dir()
    assert run(["data", "push", f"remote={shared.remote}", "--quiet"]) == 0
    (pointer,) = capsys.readouterr().out.splitlines()
    assert Path(pointer).suffix == ".dvc"


def test_a_dataset_that_is_deleted_loses_its_pointer(shared: Shared) -> None:
    pointer = pointers.path_of(open_store(), shared.dataset.digest)
    assert pointer.exists()
    mltool.data.rm("iris")
    assert not pointer.exists()


def test_a_name_without_files_is_told_how_to_get_them(shared: Shared, colleague: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        open_store().find("iris", ArtifactKind.dataset)
    assert "`mltool data pull iris@1` fetches it" in str(caught.value.hint)
    with pytest.raises(DataError) as refused:
        mltool.train("data.source=iris@1")
    assert "`mltool data pull iris@1` fetches it" in str(refused.value.hint)


def test_two_pushes_at_once_leave_one_whole_dataset(shared: Shared, colleague: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    command = [sys.executable, "-m", "mltool", "data", "push", f"remote={other}", "--quiet"]
    both = [subprocess.Popen(command, cwd=shared.here, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert not [path for path in other.rglob("*") if path.name.endswith(".tmp")]
    mltool.data.pull("iris", remote=str(other))


def test_progress_reaches_its_end(shared: Shared, colleague: Path) -> None:
    seen: dict[str, events.Progress] = {}
    with events.subscribed(lambda e: seen.update({e.task: e}) if isinstance(e, events.Progress) else None):
        mltool.data.pull(remote=str(shared.remote))
    assert seen["pull"].done == seen["pull"].total
    assert seen["pull"].finished


def test_a_command_says_nothing_of_dvc(shared: Shared, colleague: Path) -> None:
    spoil(shared.object_of("schema.json"))
    process = run_in(colleague, "data", "pull", "iris", f"remote={shared.remote}")
    assert process.returncode == 3
    assert [line.partition(":")[0] for line in process.stderr.splitlines()] == ["pull", "error", "hint"]
