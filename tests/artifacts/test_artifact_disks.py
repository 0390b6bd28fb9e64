"""A disk that is full or read-only: one clear line, no half-written artifact, and what was there stays whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from artifact_testing import commit

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core.errors import MltoolError

POSIX = pytest.mark.skipif(os.name != "posix", reason="limits of a process are a matter of POSIX systems")
COMMIT = """
import sys
from pathlib import Path
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core.errors import MltoolError

def commit(root, num_bytes, name="digits"):
    store = Store(Path(root))
    try:
        with store.draft(ArtifactKind.model) as draft:
            with draft.path("weights.bin").open("wb") as stream:
                for _ in range(num_bytes // 1000):
                    stream.write(b"0" * 1000)
            draft.commit(name, config={"num_bytes": num_bytes})
            print("made")
    except MltoolError as error:
        print(error.message, "|", error.hint)
    print(*(path.name for path in store.staging.glob("*")))
"""
ROOM = "free some space, or set MLTOOL_HOME to a folder on a larger disk"


def on_own_disk(folder: Path, code: str) -> list[str]:
    """The lines that `code` prints where `folder` is a disk of 1 MB that nobody else sees."""
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0"; '
    folder.mkdir(exist_ok=True)
    try:
        trial = subprocess.run([*alone, mount, str(folder)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("`unshare` is not at hand")
    if trial.returncode:
        pytest.skip(f"this system lets nobody mount a disk: {trial.stderr.strip()}")
    command = [*alone, f'{mount} exec "$1" -c "$2" "$0"', str(folder), sys.executable, COMMIT + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_full_disk_is_explained_and_what_was_there_stays_whole(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    code = """
root = Path(sys.argv[1]) / ".mltool"
commit(root, 300_000)
commit(root, 2_000_000)
print(Store(root).find("latest", ArtifactKind.model).ref, len(list(Store(root).artifacts.iterdir())))
commit(root, 400_000)
"""
    assert on_own_disk(disk, code) == [
        "made",
        "",
        f"cannot write to `{disk}/.mltool`: there is no space left | {ROOM}",
        "",
        "digits@1 1",
        "made",
        "",
    ]


def test_a_disk_that_is_full_to_the_last_byte_is_explained(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    code = """
root = Path(sys.argv[1]) / ".mltool"
commit(root, 1000)
try:
    with (Path(sys.argv[1]) / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"0" * 4096):
            pass
except OSError:
    pass
commit(root, 1000, "corn")
commit(root, 2000)
print(*Store(root).refs.names(ArtifactKind.model), Store(root).find("digits", ArtifactKind.model).ref)
"""
    full = f"cannot write to `{disk}/.mltool`: there is no space left | {ROOM}"
    assert on_own_disk(disk, code) == ["made", "", full, "", full, "", "digits digits@1"]


def test_a_read_only_disk_is_explained(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    code = """
import subprocess
root = Path(sys.argv[1]) / ".mltool"
commit(root, 1000)
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
commit(root, 2000)
commit(Path(sys.argv[1]) / "fresh", 2000)
store = Store(root)
made = store.find("digits", ArtifactKind.model)
try:
    store.remove(made)
except MltoolError as error:
    print(error.message)
print(store.find("digits", ArtifactKind.model).ref)
"""
    read_only = "the disk is read-only | set MLTOOL_HOME to a folder that can be written"
    assert on_own_disk(disk, code) == [
        "made",
        "",
        f"cannot write to `{disk}/.mltool`: {read_only}",
        "",
        f"cannot write to `{disk}/fresh`: {read_only}",
        "",
        f"cannot write to `{disk}/.mltool`: the disk is read-only",
        "digits@1",
    ]


@POSIX
def test_a_file_over_the_limit_of_the_system_is_explained(tmp_path: Path) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
commit({str(tmp_path)!r}, 50_000)
commit({str(tmp_path)!r}, 200_000)
"""
    done = subprocess.run([sys.executable, "-c", COMMIT + code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "made",
        "",
        f"cannot write to `{tmp_path}`: a file grew over the limit of the system | "
        "raise it (`ulimit -f`), or use less data",
        "",
    ]
    (path,) = (tmp_path / "artifacts").iterdir()
    Artifact.open(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permission bits do not stop this user")
def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    store = Store(tmp_path / "closed" / ".mltool")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(MltoolError) as caught:
        commit(store)
    assert caught.value.message == f"cannot write to `{store.root}`: the folder cannot be written"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("place", ["", ".mltool", ".mltool/artifacts", ".mltool/staging", ".mltool/refs"])
def test_a_file_where_a_folder_is_needed_is_explained(tmp_path: Path, place: str) -> None:
    store = Store(tmp_path / "project" / ".mltool")
    blocking = tmp_path / "project" / place
    blocking.parent.mkdir(parents=True, exist_ok=True)
    blocking.write_bytes(b"mine")
    with pytest.raises(MltoolError) as caught:
        commit(store)
    assert caught.value.message == f"cannot write to `{store.root}`: a file stands where a folder is needed"
    assert caught.value.hint == "set MLTOOL_HOME to another folder"
    assert blocking.read_bytes() == b"mine"


def test_a_file_in_the_place_of_an_artifact_is_explained(store: Store) -> None:
    made = commit(store)
    store.remove(made)
    made.path.write_bytes(b"mine")
    with pytest.raises(MltoolError, match="a file stands where a folder is needed"):
        commit(store)
    assert made.path.read_bytes() == b"mine"
    assert store.refs.names(ArtifactKind.model) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can make another")
def test_a_home_that_cannot_be_made_is_named() -> None:
    with pytest.raises(MltoolError, match="`/proc/nothing/artifacts` cannot be made: No such file") as caught:
        commit(Store(Path("/proc/nothing")))
    assert caught.value.hint == "set MLTOOL_HOME to a folder that can be written"
