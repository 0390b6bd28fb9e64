"""A search that is killed by force loses nothing that had ended."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process is killed by a signal")

LINE = [
    "name=demo", "data.source=points.npz", "train.epochs=3", "train.threads=1", "space.lr=1e-5..1.0:log",
    "space.model.args.hidden=2..64:log",
]  # fmt: skip
NUM_KILLS = 8


def tune(*tokens: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mltool", "tune", *LINE, *tokens, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outline(process: subprocess.Popen[str]) -> list[Any]:
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    return [[t[name] for name in ("config", "outcome", "value", "curve")] for t in json.loads(out)["trials"]]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_study_that_was_killed_again_and_again_is_the_same_as_one_that_never_was(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(240) % 2
    np.savez("points.npz", inputs=generator.normal(size=(240, 4)).astype(np.float32) + labels[:, None], labels=labels)
    whole = outline(tune("study=whole", "trials=40"))
    assert {outcome for _, outcome, *_ in whole} == {"complete", "pruned"}
    journal, chance = tmp_path / ".mltool" / "studies" / "killed" / "journal.log", random.Random(0)
    num_killed = 0
    for _ in range(NUM_KILLS):
        process = tune("study=killed", "trials=40", *(["--resume"] if journal.exists() else []))
        before, deadline = journal.stat().st_size if journal.exists() else 0, time.monotonic() + 300
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.stat().st_size > before:  # it is at its trials
                time.sleep(chance.uniform(0, 1.5))
                process.send_signal(signal.SIGKILL)
                num_killed += process.wait() == -signal.SIGKILL
                break
            time.sleep(0.01)
        process.communicate()
    assert num_killed
    assert outline(tune("study=killed", "trials=40", "--resume")) == whole
    print(f"{num_killed} kills")  # noqa: T201
