from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from records_testing import DIGEST, START_S, append, stored_ids, wait_until, warnings_heard

from mltool.core import events
from mltool.records.log_file import SCHEMA
from mltool.records.prediction_log import COMMIT_RECORDS, PredictionLog
from mltool.records.reading import count, read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deployments" / "shop" / "predictions"


@pytest.fixture
def log(folder: Path) -> Iterator[PredictionLog]:
    made = PredictionLog(folder, 0)
    yield made
    made.close()


def test_every_column_is_stored_as_documented(folder: Path, log: PredictionLog) -> None:
    append(log, 7, status=422, outputs=None)
    log.close()
    with closing(sqlite3.connect(folder / "worker-0.sqlite")) as connection:
        columns = "request_id, time_utc, deployment, model_digest, status, latency_ms, inputs, outputs"
        (row,) = connection.execute(f"SELECT {columns} FROM predictions")  # noqa: S608
        assert row[:6] == ("request-7", START_S + 7, "shop", DIGEST, 422, 1.5)
        assert safetensors.numpy.load(row[6])["numbers"].tolist() == [[7, 7, 7]]
        assert row[7] is None
        (readable,) = connection.execute("SELECT * FROM readable")
        assert readable == ("2027-01-15T08:00:07.000Z", "request-7", "shop", DIGEST[:12], 422, 1.5)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("num_records", [1, 2, 99, 100, 101, 250, 251, 999, 1000, 1001, 2500])
def test_any_number_of_records_is_written_in_order(folder: Path, log: PredictionLog, num_records: int) -> None:
    for number in range(num_records):
        append(log, number)
    log.close()
    assert stored_ids(log.path) == [f"request-{number}" for number in range(num_records)]
    assert (log.num_written, log.num_dropped, log.num_waiting) == (num_records, 0, 0)


def test_a_record_is_written_without_waiting_for_more(log: PredictionLog) -> None:
    append(log, 1)
    wait_until(lambda: log.num_written == 1)
    assert stored_ids(log.path) == ["request-1"]


def test_many_records_are_written_before_the_interval_has_passed(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, 0)
    wait_until(lambda: log.num_written == 1)
    monkeypatch.setattr("mltool.records.prediction_log.COMMIT_INTERVAL_S", 3600.0)
    append(log, 1)
    wait_until(lambda: log.num_written == 2)  # the last wait that is short
    for number in range(COMMIT_RECORDS):
        append(log, 2 + number)
    wait_until(lambda: log.num_written == 2 + COMMIT_RECORDS)


def test_a_full_queue_drops_and_counts_and_never_waits(folder: Path) -> None:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "worker-0.sqlite", isolation_level=None)) as other, warnings_heard() as heard:
        log = PredictionLog(folder, 0, capacity_records=50)
        append(log, 0)
        wait_until(lambda: log.num_written == 1)
        other.execute("BEGIN IMMEDIATE")
        for number in range(1, 3000):
            append(log, number)
        assert log.num_dropped >= 2999 - 100
        assert log.num_waiting <= 100  # the queue, and the batch that is being written
        other.execute("ROLLBACK")
        log.close()
    assert log.num_written + log.num_dropped == 3000
    numbers = [int(name.removeprefix("request-")) for name in stored_ids(log.path)]
    assert numbers == sorted(numbers)
    assert len(numbers) == log.num_written
    assert len(heard) <= 3


def test_more_records_than_can_be_written_are_warned_of_once(folder: Path) -> None:
    with warnings_heard() as heard:
        log = PredictionLog(folder, 0, capacity_records=5)
        for start in (0, 1000):
            for number in range(start, start + 1000):
                append(log, number)
            wait_until(lambda: log.num_waiting == 0)
        append(log, 2000)
        log.close()
    assert log.num_dropped > 0
    assert heard == [f"prediction log `{log.path}` cannot be written as fast as records come, so some are dropped"]


def test_the_bytes_that_wait_are_bounded_too(folder: Path) -> None:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "worker-0.sqlite", isolation_level=None)) as other:
        log = PredictionLog(folder, 0, capacity_bytes=1_000_000)
        append(log, 0)
        wait_until(lambda: log.num_written == 1)
        other.execute("BEGIN IMMEDIATE")
        picture = np.zeros((1, 100_000), np.uint8)
        for number in range(1, 31):
            append(log, number, inputs={"image": picture}, outputs=None)
        assert log.num_waiting <= 10
        assert log.num_dropped >= 20
        other.execute("ROLLBACK")
        wait_until(lambda: log.num_waiting == 0)
        for number in range(31, 36):
            append(log, number, inputs={"image": picture}, outputs={"image": picture})
        log.close()
    assert log.num_written + log.num_dropped == 36
    assert stored_ids(log.path)[-5:] == [f"request-{number}" for number in range(31, 36)]


def test_one_record_larger_than_all_that_may_wait_is_dropped(folder: Path) -> None:
    log = PredictionLog(folder, 0, capacity_bytes=1000)
    append(log, 0, inputs={"image": np.zeros(1001, np.uint8)}, outputs=None)
    append(log, 1)
    log.close()
    assert (log.num_written, log.num_dropped) == (1, 1)


def test_closing_twice_is_fine_and_what_comes_later_is_dropped(log: PredictionLog) -> None:
    append(log, 0)
    log.close()
    log.close()
    append(log, 1)
    assert (log.num_written, log.num_dropped) == (1, 1)
    assert stored_ids(log.path) == ["request-0"]


def test_closing_leaves_one_file_and_no_thread(folder: Path, log: PredictionLog) -> None:
    append(log, 0)
    log.close()
    assert [path.name for path in folder.iterdir()] == ["worker-0.sqlite"]
    assert not [thread for thread in threading.enumerate() if thread.name == "prediction-log"]


def test_a_file_that_stays_locked_is_given_up_when_closing(folder: Path, log: PredictionLog) -> None:
    append(log, 0)
    wait_until(lambda: log.num_written == 1)
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other, warnings_heard() as heard:
        other.execute("BEGIN IMMEDIATE")
        for number in range(1, 2501):
            append(log, number)
        log.close(60)
        assert (log.num_written, log.num_dropped, log.num_waiting) == (1, 2500, 0)
    assert heard == [
        f"prediction log `{log.path}` cannot be written, so records will be dropped: another process holds it"
    ]


def test_a_file_that_is_locked_for_a_while_costs_no_record(log: PredictionLog) -> None:
    append(log, 0)
    wait_until(lambda: log.num_written == 1)
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other, warnings_heard() as heard:
        other.execute("BEGIN IMMEDIATE")
        append(log, 1)
        wait_until(lambda: len(heard) == 1)  # it gave up waiting for the lock, and keeps the record
        other.execute("ROLLBACK")
        wait_until(lambda: log.num_written == 2)
        wait_until(lambda: len(heard) == 2)
        append(log, 2)
        wait_until(lambda: log.num_written == 3)
        log.close()
    assert heard[1:] == [f"prediction log `{log.path}` is written again; 0 records were dropped"]


def test_a_record_that_no_file_can_hold_is_dropped_and_the_others_are_kept(log: PredictionLog) -> None:
    bad: list[dict[str, object]] = [
        {"request_id": "\ud800"}, {"status": 2**70}, {"latency_ms": 1j}, {"deployment": object()},
    ]  # fmt: skip
    with warnings_heard() as heard:
        for number in range(120):
            append(log, number, **(bad[number // 20] if number % 20 == 0 and number < 80 else {}))
        log.close()
    assert (log.num_written, log.num_dropped) == (116, 4)
    assert stored_ids(log.path) == [f"request-{n}" for n in range(120) if n not in (0, 20, 40, 60)]
    assert all("cannot hold a record, which is dropped" in text for text in heard)
    assert 1 <= len(heard) <= 4


def test_arrays_that_cannot_be_recorded_cost_only_themselves(folder: Path, log: PredictionLog) -> None:
    with warnings_heard() as heard:
        for number in range(5):
            append(log, number, inputs={"text": np.array(["a"], dtype=object)})
        log.close()
    records = list(read(folder))
    assert [record.inputs for record in records] == [None] * 5
    assert all(record.outputs is not None for record in records)
    assert len(heard) == 1
    assert "an array `text` of object cannot be recorded" in heard[0]


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "worker-0.sqlite").write_bytes(content)
    with warnings_heard() as heard:
        log = PredictionLog(folder, 0)
        for number in range(150):
            append(log, number)
        log.close()
    (aside,) = folder.glob("worker-0.sqlite.damaged-*")
    assert aside.read_bytes() == content
    assert (log.num_written, log.num_dropped) == (150, 0)
    assert len(stored_ids(log.path)) == 150
    assert heard == [f"prediction log `{log.path}` was damaged; it is kept as `{aside.name}`, and a new one was begun"]
    assert count(folder) == 150


def test_a_damaged_file_replaces_none_that_was_kept_before(folder: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / "worker-0.sqlite"
    path.write_bytes(b"no database" * 1000)
    now_s = time.time()
    earlier = [
        Path(f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now_s + seconds))}") for seconds in range(60)
    ]
    for kept in earlier:
        kept.write_bytes(b"of before")
    log = PredictionLog(folder, 0)
    append(log, 0)
    log.close()
    assert {kept.read_bytes() for kept in earlier} == {b"of before"}
    (aside,) = folder.glob("worker-0.sqlite.damaged-*Z-2")
    assert aside.read_bytes() == b"no database" * 1000
    assert stored_ids(path) == ["request-0"]


def test_a_file_that_is_damaged_while_it_is_written_is_kept_aside_too(folder: Path, log: PredictionLog) -> None:
    for number in range(500):
        append(log, number)
    log.close()
    whole = log.path.read_bytes()
    damaged = whole[:8192] + b"\xff" * (len(whole) - 8192)
    log.path.write_bytes(damaged)
    with warnings_heard() as heard:
        again = PredictionLog(folder, 0)
        for number in range(500, 600):
            append(again, number)
        again.close()
    (aside,) = folder.glob("*.damaged-*")
    assert len(aside.read_bytes()) == len(damaged)
    assert (again.num_written, again.num_dropped, len(heard)) == (100, 0, 1)
    assert stored_ids(log.path) == [f"request-{number}" for number in range(500, 600)]


def test_files_that_are_damaged_again_at_once_do_not_pile_up(folder: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / "worker-0.sqlite"
    path.write_bytes(b"no database" * 100)
    log = PredictionLog(folder, 0)
    append(log, 0)
    wait_until(lambda: log.num_written == 1)
    path.unlink()
    path.write_bytes(b"no database" * 100)
    time.sleep(1.1)  # how often it looks
    with warnings_heard() as heard:
        for number in range(1, 50):
            append(log, number)
        wait_until(lambda: bool(heard))
        log.close()
    assert log.num_dropped > 0
    assert len(list(folder.glob("*.damaged-*"))) == 1
    assert heard == [f"prediction log `{path}` cannot be written, so records will be dropped: it is damaged"]


def test_a_file_of_a_later_mltool_is_left_alone(folder: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / "worker-0.sqlite"
    with closing(sqlite3.connect(path)) as later:
        later.execute("CREATE TABLE predictions (everything)")
        later.execute(f"PRAGMA user_version={SCHEMA.version + 1}")
        later.commit()
    with warnings_heard() as heard:
        log = PredictionLog(folder, 0)
        for number in range(200):
            append(log, number)
            time.sleep(0.001)
        log.close()
    assert (log.num_written, log.num_dropped) == (0, 200)
    assert heard == [
        f"prediction log `{path}` cannot be written, so records will be dropped: "
        f"`{path}` has schema version `{SCHEMA.version + 1}`"
    ]
    with closing(sqlite3.connect(path)) as later:
        assert later.execute("SELECT count(*) FROM predictions").fetchone() == (0,)
    assert list(folder.glob("*.damaged-*")) == []


@pytest.mark.parametrize("how", ["moved", "deleted", "with its folder"])
def test_a_file_that_somebody_takes_away_is_made_once_more(folder: Path, log: PredictionLog, how: str) -> None:
    append(log, 0)
    wait_until(lambda: log.num_written == 1)
    if how == "moved":
        log.path.rename(folder / "rotated.sqlite")
    else:
        for path in folder.iterdir():
            path.unlink()
        if how == "with its folder":
            folder.rmdir()
    time.sleep(1.1)  # how often it looks
    append(log, 1)
    log.close()
    assert (log.num_written, log.num_dropped) == (2, 0)
    assert stored_ids(log.path) == ["request-1"]
    if how == "moved":
        assert stored_ids(folder / "rotated.sqlite") == ["request-0"]


def test_the_oldest_records_make_room_and_the_file_stops_growing(folder: Path) -> None:
    max_bytes = 1_000_000
    log = PredictionLog(folder, 0, max_bytes=max_bytes)
    sizes = []
    for number in range(6000):
        append(log, number, inputs={"numbers": np.full((1, 250), number, np.float32)}, outputs=None)
        if number % 500 == 499:
            wait_until(lambda: log.num_waiting == 0)
            sizes.append(log.path.stat().st_size)
    log.close()
    assert log.num_dropped == 0
    assert log.path.stat().st_size < 1.3 * max_bytes
    kept = stored_ids(log.path)
    assert kept == [f"request-{number}" for number in range(6000 - len(kept), 6000)]
    assert 500 < len(kept) < 1000


def test_records_that_are_larger_than_the_file_may_be_are_written_all_the_same(folder: Path) -> None:
    log = PredictionLog(folder, 0, max_bytes=10_000)
    for number in range(20):
        append(log, number, inputs={"image": np.zeros(100_000, np.uint8)})
        wait_until(lambda: log.num_waiting == 0)
    log.close()
    assert stored_ids(log.path) == ["request-19"]
    assert log.path.stat().st_size < 500_000


WRITER = """
import sys
from pathlib import Path
from records_testing import append
from mltool.records.prediction_log import PredictionLog
log = PredictionLog(Path(sys.argv[1]), 0)
sys.stdin.readline()
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 3000):
    append(log, number)
log.close(60)
print(log.num_written, log.num_dropped)
"""


def test_two_processes_that_write_one_file_lose_nothing(folder: Path) -> None:
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{WRITER}", str(folder)]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen([*command, first], stdin=pipe, stdout=pipe, text=True) for first in ("0", "5000")]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.communicate()[0] for writer in writers] == ["3000 0\n"] * 2
    numbers = [int(name.removeprefix("request-")) for name in stored_ids(folder / "worker-0.sqlite")]
    assert sorted(numbers) == [*range(3000), *range(5000, 8000)]
    assert [number for number in numbers if number < 5000] == list(range(3000))


def test_a_listener_that_fails_does_not_end_the_log(folder: Path) -> None:
    def fail(event: events.Event) -> None:
        raise RuntimeError("nobody listens")

    with events.subscribed(fail):
        log = PredictionLog(folder, 0)
        append(log, 0, inputs={"text": np.array(["a"])})
        wait_until(lambda: log.num_written == 1)
        with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            append(log, 1)
            wait_until(lambda: log._is_failing)
        append(log, 2)
        wait_until(lambda: log.num_written == 3)
        log.close()
    assert log.num_dropped == 0
