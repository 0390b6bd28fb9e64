from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mltool.artifacts.store import Store
from mltool.modeling.config import TrainConfig
from mltool.stages.train.run import Run, new_run
from mltool.stages.train.tracking import HISTORY, trackers


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return new_run(Store(tmp_path / ".mltool"), "key")


def log(run: Run, *rows: dict[str, Any]) -> None:
    with trackers(TrainConfig(), run, {}, resume=False) as on_epoch:
        for row in rows:
            on_epoch(row)


def row(epoch: int, loss: float = 0.5) -> dict[str, Any]:
    return {"epoch": epoch, "train_loss": loss}


def history(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / HISTORY).read_text(encoding="utf-8").splitlines()]


def test_every_epoch_is_a_line_at_once(run: Run) -> None:
    with trackers(TrainConfig(), run, {}, resume=False) as on_epoch:
        on_epoch(row(1))
        assert history(run) == [row(1)]
        on_epoch(row(2))
        assert history(run) == [row(1), row(2)]


def test_a_resumed_run_replaces_the_epochs_that_it_repeats(run: Run) -> None:
    log(run, row(1), row(2), row(3))
    log(run, row(2, 0.25))
    assert history(run) == [row(1), row(2, 0.25)]
    log(run, row(3), row(4))
    assert history(run) == [row(1), row(2, 0.25), row(3), row(4)]


def test_a_run_that_starts_anew_leaves_no_old_lines(run: Run) -> None:
    log(run, row(1), row(2))
    log(run, row(1, 0.75))
    assert history(run) == [row(1, 0.75)]


@pytest.mark.parametrize("half", ['{"epoch": 2, "train_l', '{"epo', "\0\0\0", "3", "[]"])
def test_the_half_line_of_a_killed_run_is_replaced(run: Run, half: str) -> None:
    log(run, row(1))
    with (run.folder / HISTORY).open("a", encoding="utf-8") as stream:
        stream.write(half)
    log(run, row(2))
    assert history(run) == [row(1), row(2)]


def test_no_tracker_is_loaded_that_nobody_asked_for(run: Run) -> None:
    import subprocess
    import sys

    code = (
        "import sys, pathlib\n"
        "from mltool.modeling.config import TrainConfig\n"
        "from mltool.stages.train import run, tracking\n"
        f"run = run.Run(pathlib.Path({str(run.folder)!r}), 'k', None, {{}})\n"
        "with tracking.trackers(TrainConfig(), run, {}, resume=False) as on_epoch: on_epoch({'epoch': 1})\n"
        "assert 'wandb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert history(run) == [{"epoch": 1}]
