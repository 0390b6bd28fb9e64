"""`mltool train processes=2`: the command line, its processes, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import mltool
from mltool.artifacts.store import open_store
from mltool.core.errors import ConfigError, MltoolError
from user_project import Write

pytestmark = [
    pytest.mark.xdist_group("train_processes"),  # each of them keeps both cores busy
    pytest.mark.skipif(sys.platform == "win32", reason="signals between processes are of POSIX"),
]

TIMEOUT_S = 200.0
NET = """
    import os
    import signal

    from torch import nn

    class Net(nn.Module):
        \"\"\"No batch norm and no dropout; on one rank, it does what it is told in its 40th batch.\"\"\"

        def __init__(self, rank=None, does="nothing"):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Tanh(), nn.Linear(24, 10))
            self.is_bad, self.does, self.count = os.environ.get("RANK") == str(rank), does, 0

        def forward(self, image):
            self.count += self.training
            if self.is_bad and self.count == 40:
                print("it is me")
                if self.does == "raise":
                    raise ValueError("enough")
                os.kill(os.getpid(), getattr(signal, self.does))
            return self.layers(image)
"""
USUAL = ("model.target=net:Net", "data.source=digits", "epochs=2", "batch_size=50")


@pytest.fixture
def net(write: Write) -> None:
    write("net.py", NET)


def losses(model: Any) -> list[list[float]]:
    rows = [json.loads(line) for line in (model.path / "history.jsonl").read_text().splitlines()]
    return [[row["train_loss"], row["validation_loss"]] for row in rows]


def workers() -> list[str]:
    """Processes that train a run of this test."""
    listed = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    runs = str(open_store().runs)
    return [line for line in listed.splitlines() if "mltool.stages.train.worker" in line and runs in line]


@contextmanager
def training(*more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "mltool", "train", *USUAL, "processes=2", *more]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.usefixtures("net")
def test_two_processes_have_the_losses_of_one_and_a_killed_run_is_resumed_by_three(said: list[str]) -> None:
    one = mltool.train(*USUAL, name="one")
    two = mltool.train(*USUAL, processes=2, name="two")
    assert two.manifest.facts["processes"] == 2
    assert two.manifest.facts["threads"] == 1
    assert losses(two) == [pytest.approx(row, rel=1e-6) for row in losses(one)]
    assert two.metrics == pytest.approx(dict(one.metrics), rel=1e-4)
    assert {check.status for check in two.checks} == {"passed"}

    killed = [*USUAL, "model.args.rank=1", "model.args.does=SIGKILL", "name=three", "checkpoint_every_s=0"]
    with pytest.raises(MltoolError, match=r"^rank 1 of 2 was ended by SIGKILL") as caught:
        mltool.train(*killed, processes=2)
    assert caught.value.exit_code == 1
    assert "`--resume` continues from the last checkpoint" in str(caught.value.hint)
    said.clear()
    three = mltool.train(*killed, processes=3, resume=True)
    assert said[1].startswith("resuming run ")
    assert losses(three) == [pytest.approx(row, rel=1e-6) for row in losses(one)]
    assert not list(three.path.parent.parent.glob("runs/*/checkpoint*"))


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_the_users_code_on_one_rank_names_rank_and_line_and_leaves_nobody_behind(rank: int) -> None:
    with training(f"model.args.rank={rank}", "model.args.does=raise", "--json") as process:
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    message = f'rank {rank} of 2: training failed at net.py:19 (`raise ValueError("enough")`): ValueError: enough'
    assert json.loads(out)["error"]["message"] == message  # nothing that the network prints is between
    assert f"error: {message}" in err
    assert "Traceback" not in err
    (run,) = open_store().runs.iterdir()
    assert "it is me" in (run / "processes.log").read_text()
    assert workers() == []


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(("sent", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_ctrl_c_stops_all_ranks_at_one_step_and_one_process_goes_on(sent: signal.Signals, to_group: bool) -> None:
    with training("epochs=400", "checkpoint_every_s=0", "patience=40", "lr=0.02") as process:
        deadline = time.monotonic() + TIMEOUT_S
        while not list(open_store().runs.glob("*/checkpoint.safetensors")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, sent) if to_group else process.send_signal(sent)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, err
    assert out == ""
    assert "stopped; `mltool train --resume` with the same config continues here" in err
    assert "checkpoint_every_s=0 patience=40 lr=0.02 --resume`" in err
    assert "Traceback" not in err
    assert workers() == []
    resumed = mltool.train(*USUAL, "epochs=400", "patience=40", "lr=0.02", resume=True)
    (run,) = open_store().runs.iterdir()
    assert resumed.manifest.facts["run"] == run.name
    assert resumed.metrics["accuracy"] > 0.9


@pytest.mark.usefixtures("net")
def test_nobody_outlives_a_killed_parent() -> None:
    with training("epochs=4000", "checkpoint_every_s=0") as process:
        deadline = time.monotonic() + TIMEOUT_S
        while not list(open_store().runs.glob("*/checkpoint.safetensors")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(workers()) >= 2
        process.kill()
    while workers():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("project")
def test_more_processes_than_samples_in_a_batch_are_refused(said: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"`train.processes=9` is more than the samples of a batch") as caught:
        mltool.train("processes=9", "batch_size=8")
    assert caught.value.hint == "use `processes=8` at most, or a larger batch"
    with pytest.raises(ConfigError, match=r"`train\.processes` must be at least 1"):
        mltool.train("processes=0")


@pytest.mark.usefixtures("net")
def test_what_all_ranks_say_is_said_once(write: Write) -> None:
    write("timeit.py", "raise RuntimeError('a module of the user, whose name torch knows too')")
    write(
        "pictures.py",
        """
        import os

        import torch
        from torch.utils.data import TensorDataset

        def read():
            assert "RANK" not in os.environ  # it is called once, and not by the processes
            return TensorDataset(torch.rand(200, 8, 8), torch.arange(200) % 10)
        """,
    )
    write("losses.py", "def far(outputs, targets):\n    return outputs.sum() / (targets.sum() * 0)\n")
    with pytest.raises(MltoolError, match=r"^the loss became (nan|inf|-inf) in epoch 1 at batch 1; no checkpoint"):
        mltool.train("model.target=net:Net", "data.target=pictures:read", "task.loss=losses:far", processes=2)


@pytest.mark.gpu
@pytest.mark.usefixtures("net")
def test_two_gpus_have_the_losses_of_one() -> None:
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("there are no two GPUs")
    one, two = (mltool.train(*USUAL, processes=number, device="cuda") for number in (1, 2))
    assert losses(two) == [pytest.approx(row, rel=1e-4) for row in losses(one)]
