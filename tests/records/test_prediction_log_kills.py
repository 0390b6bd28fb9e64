"""A worker that is killed at any moment loses nothing that was committed, and leaves a whole file."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from records_testing import START_S

from mltool.records.prediction_log import PredictionLog
from mltool.records.reading import count, read

WORKER = """
import sys
from pathlib import Path
from records_testing import append
from mltool.records.prediction_log import PredictionLog
log = PredictionLog(Path(sys.argv[1]), 0, max_bytes=int(sys.argv[3]))
number = int(sys.argv[2])
acknowledged = -1
while True:
    if log.num_waiting < 500:
        append(log, number)
        number += 1
    if log.num_written != acknowledged:
        acknowledged = log.num_written
        print(acknowledged, flush=True)
"""


def killed_worker(folder: Path, first: int, after_s: float, max_bytes: int = 1 << 30) -> int:
    """Let a worker append from `first` on and kill it; how many records it had said were committed."""
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{WORKER}"
    command = [sys.executable, "-c", code, str(folder), str(first), str(max_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        said = worker.stdout.readline()
        time.sleep(after_s)
        worker.send_signal(signal.SIGKILL)
        said += worker.stdout.read()
    return int(said[: said.rindex("\n")].splitlines()[-1])


@pytest.mark.skipif(os.name != "posix", reason="no kill -9 here")
@pytest.mark.parametrize("num_kills", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_a_killed_worker_loses_no_committed_record(tmp_path: Path, num_kills: int) -> None:
    chance = random.Random(num_kills)
    total = 0
    for attempt in range(num_kills):
        first = 1_000_000 * attempt
        acknowledged = killed_worker(tmp_path, first, chance.uniform(0.0, 0.5))
        own = numbers(tmp_path, first)
        assert own == list(range(first, first + len(own)))
        assert len(own) >= acknowledged
        total += len(own)
        with closing(sqlite3.connect(tmp_path / "worker-0.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert count(tmp_path) == total
    assert total > 0
    assert sum(1 for _ in read(tmp_path)) == total
    log = PredictionLog(tmp_path, 0)
    log.append("last", 0.0, "shop", "", 200, 1.0)
    log.close()
    assert (log.num_written, count(tmp_path)) == (1, total + 1)


@pytest.mark.skipif(os.name != "posix", reason="no kill -9 here")
@pytest.mark.parametrize("num_kills", [3, pytest.param(50, marks=pytest.mark.soak)])
def test_a_worker_that_is_killed_while_it_makes_room_leaves_a_whole_file(tmp_path: Path, num_kills: int) -> None:
    chance = random.Random(num_kills)
    for attempt in range(num_kills):
        first = 1_000_000 * attempt
        acknowledged = killed_worker(tmp_path, first, chance.uniform(0.1, 0.5), max_bytes=500_000)
        own = numbers(tmp_path, first)
        if acknowledged:
            assert own[-1] >= first + acknowledged - 1
            assert own == list(range(own[0], own[-1] + 1))
        with closing(sqlite3.connect(tmp_path / "worker-0.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert count(tmp_path) < 2000


def numbers(folder: Path, first: int) -> list[int]:
    """The records from `first` on, in the order of their time, which is that of their numbers."""
    return [int(record.request_id.removeprefix("request-")) for record in read(folder, since=START_S + first)]
