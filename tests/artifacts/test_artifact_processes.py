"""Several processes, some of them killed, share one store."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from artifact_testing import commit

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.garbage import collect, garbage
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store

MODEL = ArtifactKind.model
LOOP = """
import sys
from itertools import count
from pathlib import Path
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store

root, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(start, stop):
    with Store(root).draft(ArtifactKind.model) as draft:
        for part in range(3):
            draft.path(f"parts/{part}.bin").write_bytes(bytes([part]) * 20_000)
        draft.commit("digits", config={"number": number})
"""


def looping(store: Store, start: int, stop: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LOOP, str(store.root), str(start), str(stop)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_processes_that_write_one_name_get_a_version_each(store: Store) -> None:
    with looping(store, 0, 20) as first, looping(store, 100, 120) as second:
        begin(first)
        begin(second)
        assert (first.wait(60), second.wait(60)) == (0, 0)
    versions = store.refs.versions(MODEL, "digits")
    assert [version.version for version in versions] == list(range(1, 41))
    numbers = [store.find(f"digits@{version.version}", MODEL).config["number"] for version in versions]
    assert sorted(numbers) == [*range(20), *range(100, 120)]
    assert list(store.staging.iterdir()) == []


def test_a_reader_sees_whole_names_while_they_are_written(store: Store) -> None:
    seen = [0]
    with looping(store, 0, 60) as process:
        begin(process)
        while process.poll() is None:
            seen.append(len(store.refs.versions(MODEL, "digits")))
    assert process.returncode == 0
    assert seen == sorted(seen)


def test_two_processes_that_write_equal_artifacts_share_them(store: Store) -> None:
    with looping(store, 1, 2) as first, looping(store, 1, 2) as second:
        begin(first)
        begin(second)
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert [version.version for version in store.refs.versions(MODEL, "digits")] == [1]
    assert store.find("digits", MODEL).config == {"number": 1}


@pytest.mark.skipif(os.name != "posix", reason="no kill -9 here")
@pytest.mark.parametrize("num_kills", [10, pytest.param(50, marks=pytest.mark.soak)])
def test_a_kill_at_any_moment_leaves_whole_artifacts_or_nothing(store: Store, num_kills: int) -> None:
    chance = random.Random(num_kills)
    store.artifacts.mkdir(parents=True)
    for attempt in range(num_kills):
        with looping(store, 1000 * attempt, 1000 * attempt + 1000) as process:
            begin(process)
            time.sleep(chance.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        expect_usable(store)
        assert commit(store, config={"after": attempt}).ref is not None
        assert store.find("latest", MODEL).config == {"after": attempt}
    collect(store, garbage(store))
    assert [path for path in store.staging.iterdir() if path.is_dir()] == []
    expect_usable(store)


def expect_usable(store: Store) -> None:
    """Every artifact opens, and every name leads to one."""
    present = {Artifact.open(path).digest for path in store.artifacts.iterdir()}
    versions = store.refs.versions(MODEL, "digits")
    assert [version.version for version in versions] == list(range(1, len(versions) + 1))
    assert {version.digest for version in versions} <= present
