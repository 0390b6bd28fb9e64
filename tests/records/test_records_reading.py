from __future__ import annotations

import math
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from records_testing import DIGEST, START_S, append, on_own_disk, wait_until, warnings_heard

from mltool.records import reading
from mltool.records.labels import add_labels
from mltool.records.log_file import SCHEMA
from mltool.records.prediction_log import PredictionLog
from mltool.records.reading import count, read


def written(folder: Path, numbers_by_worker: dict[int, list[int]], **other: object) -> None:
    for worker, numbers in numbers_by_worker.items():
        log = PredictionLog(folder, worker)
        for number in numbers:
            append(log, number, **other)
        log.close()
        assert log.num_dropped == 0


def numbers(folder: Path, **chosen: object) -> list[int]:
    return [int(record.request_id.removeprefix("request-")) for record in read(folder, **chosen)]  # type: ignore[arg-type]


def test_a_record_is_read_as_it_was_appended(tmp_path: Path) -> None:
    written(tmp_path, {0: [3]}, status=500, latency_ms=2.25)
    (record,) = read(tmp_path)
    assert (record.request_id, record.time_s, record.deployment) == ("request-3", START_S + 3, "shop")
    assert (record.model_digest, record.status, record.latency_ms, record.label) == (DIGEST, 500, 2.25, None)
    assert record.inputs is not None
    assert record.outputs is not None
    assert np.array_equal(record.inputs["numbers"], np.full((1, 3), 3, np.float32))
    assert list(record.outputs) == ["label", "probabilities"]
    assert record.outputs["label"].dtype == np.int64


def test_all_workers_are_merged_by_time_over_many_pages(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    shuffled = chance.permutation(2000).tolist()
    written(tmp_path, {0: shuffled[:900], 1: shuffled[900:1000], 12: shuffled[1000:]})
    assert numbers(tmp_path) == list(range(2000))


def test_records_of_one_moment_are_all_read(tmp_path: Path) -> None:
    written(tmp_path, {0: list(range(1000)), 1: list(range(1000, 1300))}, time_s=START_S)
    assert sorted(numbers(tmp_path)) == list(range(1300))
    assert numbers(tmp_path, since=START_S, until=math.nextafter(START_S, math.inf)) == numbers(tmp_path)
    assert numbers(tmp_path, until=START_S) == []


def test_a_range_of_time_holds_its_start_and_not_its_end(tmp_path: Path) -> None:
    written(tmp_path, {0: list(range(0, 600, 2)), 1: list(range(1, 600, 2))})
    assert numbers(tmp_path, since=START_S + 10, until=START_S + 13) == [10, 11, 12]
    assert numbers(tmp_path, since=START_S + 597) == [597, 598, 599]
    assert numbers(tmp_path, until=START_S + 2) == [0, 1]
    assert numbers(tmp_path, since=START_S + 5, until=START_S + 5) == []
    assert count(tmp_path, since=START_S + 100, until=START_S + 500) == 400


def test_records_are_chosen_by_deployment_and_model(tmp_path: Path) -> None:
    written(tmp_path, {0: [0, 1]})
    written(tmp_path, {0: [2, 3]}, deployment="mill")
    written(tmp_path, {1: [4]}, model_digest="f" * 64)
    assert numbers(tmp_path, deployment="mill") == [2, 3]
    assert numbers(tmp_path, model_digest=DIGEST, since=START_S + 1) == [1, 2, 3]
    assert numbers(tmp_path, deployment="shop", model_digest="f" * 64) == [4]
    assert count(tmp_path, deployment="mill", until=START_S + 3) == 1
    assert count(tmp_path, deployment="'; DROP TABLE predictions; --") == 0
    assert count(tmp_path) == 5


@pytest.mark.parametrize("query", ["page", "count"])
def test_a_range_of_time_is_found_by_the_index(tmp_path: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, {0: list(range(10))})
    plans: list[str] = []

    class Explaining(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql.startswith("SELECT") and "predictions" in sql:
                plans.extend(row[3] for row in super().execute(f"EXPLAIN QUERY PLAN {sql}", *values))  # type: ignore[arg-type]
            return super().execute(sql, *values)  # type: ignore[arg-type]

    def connect(path: Path, _: object) -> sqlite3.Connection:
        return sqlite3.connect(path, factory=Explaining)

    monkeypatch.setattr(reading, "connect_to_read", connect)
    if query == "page":
        assert len(list(read(tmp_path, since=START_S + 2, until=START_S + 5))) == 3
    else:
        assert count(tmp_path, since=START_S + 2, until=START_S + 5) == 3
    assert plans
    assert all("predictions_by_time (time_utc>? AND time_utc<?)" in plan for plan in plans)


def test_no_folder_and_an_empty_one_have_no_records(tmp_path: Path) -> None:
    assert list(read(tmp_path / "nowhere")) == []
    assert count(tmp_path / "nowhere") == 0
    assert list(read(tmp_path)) == []


def test_a_file_that_is_being_made_reads_as_empty(tmp_path: Path) -> None:
    (tmp_path / "worker-0.sqlite").touch()
    with warnings_heard() as heard:
        assert list(read(tmp_path)) == []
        assert count(tmp_path) == 0
    assert heard == []


WRITER = """
import sys
from pathlib import Path
from records_testing import append
from mltool.records.prediction_log import PredictionLog
log = PredictionLog(Path(sys.argv[1]), 1)
number = 0
print("ready", flush=True)
while number < 20_000:
    if log.num_waiting < 500:
        append(log, number)
        number += 1
log.close(60)
print(log.num_written, log.num_dropped)
"""


def test_reading_beside_a_writer_gives_whole_records_and_costs_it_none(tmp_path: Path) -> None:
    written(tmp_path, {0: [0]}, time_s=START_S - 1)
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{WRITER}", str(tmp_path)]
    seen = [0]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer, warnings_heard() as heard:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        while writer.poll() is None:
            found = numbers(tmp_path)
            assert found == [0, *range(len(found) - 1)]
            seen.append(len(found))
        assert writer.stdout.read() == "20000 0\n"
    assert seen == sorted(seen)
    assert count(tmp_path) == 20_001
    assert heard == []


def test_a_reader_that_pauses_holds_up_no_writer(tmp_path: Path) -> None:
    written(tmp_path, {0: list(range(600))})
    reader = read(tmp_path)
    assert next(reader).request_id == "request-0"
    log = PredictionLog(tmp_path, 0)
    append(log, 600)
    wait_until(lambda: log.num_written == 1)
    with closing(sqlite3.connect(log.path)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # nobody stands in the way
    log.close()
    assert len(list(reader)) == 600  # what came meanwhile is later in time, so it is among them


def test_a_damaged_file_is_warned_of_and_the_others_are_read(tmp_path: Path) -> None:
    written(tmp_path, {0: list(range(5)), 1: list(range(5, 10))})
    (tmp_path / "worker-0.sqlite").write_bytes(b"no database" * 1000)
    with warnings_heard() as heard:
        assert numbers(tmp_path) == [5, 6, 7, 8, 9]
        assert count(tmp_path) == 5
    assert (
        heard
        == [
            f"prediction log `{tmp_path / 'worker-0.sqlite'}` cannot be read to its end, so records are missing: "
            "it is damaged"
        ]
        * 2
    )


def test_a_file_that_is_damaged_in_its_middle_gives_what_is_whole(tmp_path: Path) -> None:
    written(tmp_path, {0: list(range(3000)), 1: [3000]})
    path = tmp_path / "worker-0.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff" * 40_000 + content[len(content) // 2 + 40_000 :])
    with warnings_heard() as heard:
        found = numbers(tmp_path)
    assert found[-1] == 3000
    assert found == sorted(found)
    assert len(found) < 3001
    assert heard


def test_a_file_of_a_later_mltool_is_warned_of(tmp_path: Path) -> None:
    written(tmp_path, {0: [0], 1: [1]})
    with closing(sqlite3.connect(tmp_path / "worker-0.sqlite")) as later:
        later.execute(f"PRAGMA user_version={SCHEMA.version + 1}")
    with warnings_heard() as heard:
        assert numbers(tmp_path) == [1]
    assert "has schema version `2`" in heard[0]


def test_records_whose_arrays_are_damaged_are_left_out_and_counted(tmp_path: Path) -> None:
    written(tmp_path, {0: [0, 1, 2]})
    with closing(sqlite3.connect(tmp_path / "worker-0.sqlite")) as connection:
        connection.execute("UPDATE predictions SET inputs = x'00ff' WHERE request_id != 'request-1'")
        connection.commit()
    with warnings_heard() as heard:
        assert numbers(tmp_path) == [1]
    assert heard == [f"prediction log `{tmp_path / 'worker-0.sqlite'}`: 2 records with damaged arrays are left out"]


def test_what_was_moved_aside_is_not_read(tmp_path: Path) -> None:
    written(tmp_path, {0: [0]})
    shutil.copy(tmp_path / "worker-0.sqlite", tmp_path / "worker-0.sqlite.damaged-20270115T080000Z")
    assert numbers(tmp_path) == [0]


def test_labels_are_joined_to_their_records(tmp_path: Path) -> None:
    written(tmp_path, {0: list(range(0, 700, 2)), 1: list(range(1, 700, 2))})
    add_labels(tmp_path, {f"request-{number}": number % 3 for number in range(0, 700, 5)} | {"unknown": 1})
    for number, record in enumerate(read(tmp_path)):
        if number % 5 == 0:
            assert record.label is not None
            assert record.label.value == number % 3
        else:
            assert record.label is None


def test_damaged_labels_cost_only_the_labels(tmp_path: Path) -> None:
    written(tmp_path, {0: list(range(600))})
    (tmp_path / "labels.sqlite").write_bytes(b"no database" * 1000)
    with warnings_heard() as heard:
        assert len(numbers(tmp_path)) == 600
    assert heard == [f"`{tmp_path / 'labels.sqlite'}` cannot be read, so records have no labels: it is damaged"]


def test_a_reader_may_be_given_up_and_closed_by_another_thread(tmp_path: Path) -> None:
    import threading

    written(tmp_path, {0: list(range(600))})
    add_labels(tmp_path, {"request-0": 1})
    reader = read(tmp_path)
    next(reader)
    thread = threading.Thread(target=reader.close)  # type: ignore[attr-defined]
    thread.start()
    thread.join()
    assert list(reader) == []


def test_a_read_only_disk_is_read(tmp_path: Path) -> None:
    code = """
import subprocess, sys
from pathlib import Path
from records_testing import append
from mltool.records.labels import add_labels, labels
from mltool.records.prediction_log import PredictionLog
from mltool.records.reading import count, read
folder = Path(sys.argv[1]) / "with space and 100%"
log = PredictionLog(folder, 0)
append(log, 0)
log.close()
add_labels(folder, {"request-0": "cat"})
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
print(count(folder), *(record.label.value for record in read(folder)), *labels(folder))
"""
    assert on_own_disk(tmp_path / "disk", code) == ["1 cat request-0"]
