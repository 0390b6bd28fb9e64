"""A push or a pull that is stopped, by Ctrl-C or by a disk, leaves nothing half-made and can be repeated."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_remotes import run_in
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals and mounts are those of POSIX systems"),
    pytest.mark.xdist_group("large-data"),
]
LARGE_BYTES = 300_000_000
ALONE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$0"; '


def large_dataset(folder: Path, num_bytes: int = LARGE_BYTES) -> Artifact:
    with Store(folder / ".mltool").draft(ArtifactKind.dataset) as draft:
        with draft.path("train/image.npy").open("wb") as stream:
            stream.write(os.urandom(1000))
            stream.truncate(num_bytes)
        return draft.commit("large", config={})


def interrupted(folder: Path, began: Path, pattern: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that is sent Ctrl-C once a file of this pattern lies below `began`."""
    command = [sys.executable, "-m", "mltool", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not list(began.rglob(pattern)):
            assert process.poll() is None, "it was over before it could be interrupted"
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_ctrl_c_ends_a_push_and_the_next_one_completes_it(tmp_path: Path) -> None:
    here, remote = tmp_path / "here", tmp_path / "remote"
    large_dataset(here)
    ended = interrupted(here, remote, "*.tmp", "data", "push", f"remote={remote}")
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr.splitlines()[-1] == "hint: the same command goes on; what was sent is not sent again"
    assert not [*remote.rglob("*.tmp"), *remote.rglob("*.dir")]
    assert not (here / ".mltool" / "refs" / "remote").exists()
    assert run_in(here, "data", "push", f"remote={remote}").returncode == 0


def test_ctrl_c_ends_a_pull_and_leaves_nothing(tmp_path: Path) -> None:
    here, there, remote = tmp_path / "here", tmp_path / "there", tmp_path / "remote"
    dataset = large_dataset(here)
    assert run_in(here, "data", "push", f"remote={remote}").returncode == 0
    shutil.copytree(here / ".mltool" / "refs", there / ".mltool" / "refs")
    ended = interrupted(there, there, "image.npy", "data", "pull", f"remote={remote}")
    assert ended.returncode == 130, ended.stderr
    assert not [path for path in (there / ".mltool").rglob("*") if path.is_file() and path.stat().st_size > 10_000]
    assert not list((there / ".mltool" / "artifacts").iterdir())
    assert run_in(there, "data", "pull", f"remote={remote}").returncode == 0
    assert Store(there / ".mltool").find("large", ArtifactKind.dataset).digest == dataset.digest


def on_small_disk(disk: Path, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command line where `disk` is a disk of 1 MB that nobody else sees; then what is left on it."""
    disk.mkdir(exist_ok=True)
    try:
        trial = subprocess.run([*ALONE, MOUNT, str(disk)], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("`unshare` is not at hand")
    if trial.returncode:
        pytest.skip(f"this system lets nobody mount a disk: {trial.stderr.strip()}")
    script = f'{MOUNT} cp -r "$1" "$0/.mltool"; shift; "$@" || echo "exit $?"; find "$0" -type f'
    return subprocess.run(
        [*ALONE, script, str(disk), str(folder / ".mltool"), sys.executable, "-m", "mltool", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_a_remote_on_a_full_disk_says_so_and_keeps_no_part(tmp_path: Path) -> None:
    here, disk = tmp_path / "here", tmp_path / "disk"
    large_dataset(here, 3_000_000)
    (tmp_path / "empty" / ".mltool").mkdir(parents=True)
    shutil.copytree(here, tmp_path / "copy")
    ended = on_small_disk(
        disk, tmp_path / "empty", "data", "push", f"remote={disk}/data", MLTOOL_HOME=str(tmp_path / "copy" / ".mltool")
    )
    assert "exit 5" in ended.stdout
    assert f"error: there is no space left in `{disk}/data`" in ended.stderr
    assert not [line for line in ended.stdout.splitlines() if line.endswith((".tmp", ".dir"))]


def test_a_store_that_is_too_small_says_so_and_keeps_no_part(tmp_path: Path) -> None:
    here, there, disk = tmp_path / "here", tmp_path / "there", tmp_path / "disk"
    large_dataset(here, 3_000_000)
    assert run_in(here, "data", "push", f"remote={tmp_path / 'remote'}").returncode == 0
    shutil.copytree(here / ".mltool" / "refs", there / ".mltool" / "refs")
    ended = on_small_disk(disk, there, "data", "pull", f"remote={tmp_path / 'remote'}", MLTOOL_HOME=f"{disk}/.mltool")
    assert "exit 1" in ended.stdout
    assert "error: 2.9 MiB are needed, but only" in ended.stderr
    assert "image.npy" not in ended.stdout
    pointer = next((there / ".mltool" / "refs" / "remote").glob("*.dvc"))
    whole_size = next(line for line in pointer.read_text().splitlines() if "size:" in line)
    pointer.write_text(pointer.read_text().replace(whole_size, "  size: 1000"))  # so that the disk itself has to refuse
    ended = on_small_disk(disk, there, "data", "pull", f"remote={tmp_path / 'remote'}", MLTOOL_HOME=f"{disk}/.mltool")
    assert f"error: cannot write to `{disk}/.mltool`: there is no space left" in ended.stderr
    assert "image.npy" not in ended.stdout
