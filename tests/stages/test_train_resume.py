"""`mltool train` as a process of its own, stopped and killed in the middle of an epoch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mltool
from mltool.artifacts.artifact import Artifact

pytestmark = [
    pytest.mark.xdist_group("train_resume"),  # they share one uninterrupted run
    pytest.mark.skipif(sys.platform == "win32", reason="signals between processes are of POSIX"),
]

# 292 batches an epoch, which are five blocks; batch norm, dropout, and a last step of two batches out of three.
CONFIG = ("epochs=2", "batch_size=4", "accumulate=3", "clip_norm=1.0", "seed=7", "name=digits")
TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    with contextlib.chdir(tmp_path_factory.mktemp("uninterrupted")):
        return mltool.train(*CONFIG)


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLTOOL_", "WANDB_"))}
    return {**kept, "HOME": str(folder)}


@contextmanager
def training(folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "mltool", "train", *CONFIG, "checkpoint_every_s=0", *more]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def position(folder: Path) -> tuple[int, int]:
    """Epoch and samples of the checkpoint of the only run; (0, 0) before there is one."""
    from safetensors import safe_open

    found = list(folder.glob(".mltool/runs/*/checkpoint.safetensors"))
    if not found:
        return 0, 0
    with safe_open(str(found[0]), framework="numpy") as file:
        progress = json.loads(file.metadata()["progress"])
    return progress["epoch"], progress["position"]


def wait_for_checkpoint(process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while position(folder) == (0, 0):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def resumed(folder: Path) -> tuple[dict[str, Any], str]:
    """What `mltool train --resume --json` prints, and says."""
    command = [sys.executable, "-m", "mltool", "train", *CONFIG, "--resume", "--json"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def check_same(model: dict[str, Any], expected: Artifact, folder: Path) -> None:
    assert model["weights_digest"] == expected.manifest.weights_digest
    assert model["files"]["graph.onnx"]["sha256"] == expected.manifest.files["graph.onnx"].sha256
    assert model["metrics"] == dict(expected.metrics)
    (run,) = folder.glob(".mltool/runs/*")
    assert history(run) == history(expected.path)  # no epoch is missing, none is there twice
    assert history(Path(model["path"])) == history(expected.path)
    assert not list(run.glob("*checkpoint*"))
    assert not list(folder.glob(".mltool/staging/*"))


def history(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_the_history_is_always_written(uninterrupted: Artifact) -> None:
    rows = history(uninterrupted.path)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert uninterrupted.manifest.facts["threads"] == 1


def test_ctrl_c_saves_exits_130_and_the_resumed_run_has_the_same_bits(tmp_path: Path, uninterrupted: Artifact) -> None:
    with training(tmp_path) as process:
        wait_for_checkpoint(process, tmp_path)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process in the foreground
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, err
    assert out == ""
    assert "stopped; `mltool train --resume` with the same config continues here" in err
    assert f"continue with `mltool train {' '.join(CONFIG)} checkpoint_every_s=0 --resume`" in err
    assert "Traceback" not in err
    assert not list(tmp_path.glob(".mltool/refs/model/*"))
    model, said = resumed(tmp_path)
    assert "resuming run" in said
    check_same(model, uninterrupted, tmp_path)


def test_a_run_killed_in_the_middle_of_an_epoch_resumes_to_the_same_bits(
    tmp_path: Path, uninterrupted: Artifact
) -> None:
    with training(tmp_path) as process:
        wait_for_checkpoint(process, tmp_path)
        while True:  # held for a look, so that it dies where it was seen
            process.send_signal(signal.SIGSTOP)
            epoch, samples = position(tmp_path)
            if samples:
                break
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
            assert process.poll() is None
        process.kill()
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL
    assert (epoch, samples) < (2, 0)
    model, said = resumed(tmp_path)
    assert "resuming run" in said
    check_same(model, uninterrupted, tmp_path)
