"""CPU microseconds a record of the prediction log, against plain ways to keep the same.

    python tests/benchmarks/bench_prediction_log.py [--json OUT] [--quick]

A record has 64 float32 inputs and two outputs of 10 float32. Every way keeps all of it; the processor time is that of
the whole process, so the thread that writes counts. The four that write JSON do as most people would; the last two have
what is cheap at hand (orjson, raw bytes), and no bounded queue, no names, types or shapes, no retention.

A second table asks what the log costs who answers: how late the callbacks of an event loop are that answers 5,000 and
15,000 requests a second, with the log and without. It is of the wall clock, so it is shown and not judged.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from _harness import Report, cost_of, interleave, is_installed, ratio, start

from mltool.records.prediction_log import PredictionLog
from mltool.records.reading import count

BATCH = 100
LOG = "mltool PredictionLog"
EACH, MANY, LINES, LINES_FLUSHED = (
    "sqlite3, JSON, a commit each", "sqlite3, JSON, executemany of 100", "JSONL, buffered", "JSONL, a write each"
)  # fmt: skip
ORJSON, RAW = "JSONL by orjson, buffered", "sqlite3, raw bytes, executemany of 100"
Request = tuple[str, float, str, str, int, float, dict[str, np.ndarray], dict[str, np.ndarray]]


def requests(num_records: int) -> list[Request]:
    random = np.random.default_rng(0)
    now_s, digest = time.time(), "0123456789abcdef" * 4
    return [
        (
            uuid.uuid4().hex, now_s + index / 1e4, "digits", digest, 200, 1.25,
            {"numbers": random.random((1, 64), np.float32)},
            {"logits": random.random((1, 10), np.float32), "probabilities": random.random((1, 10), np.float32)},
        )
        for index in range(num_records)
    ]  # fmt: skip


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / f"{uuid.uuid4().hex}.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(
            "CREATE TABLE predictions (request_id TEXT, time_utc REAL, deployment TEXT, model_digest TEXT, "
            "status INTEGER, latency_ms REAL, inputs BLOB, outputs BLOB)"
        )
        connection.execute("CREATE INDEX by_time ON predictions (time_utc)")
        yield connection
    path.unlink()


def plain(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: array.tolist() for name, array in arrays.items()}


def row(request: Request) -> tuple[Any, ...]:
    return (*request[:6], json.dumps(plain(request[6])), json.dumps(plain(request[7])))


INSERT = "INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def a_commit_each(folder: Path, asked: Sequence[Request]) -> None:
    with database(folder) as connection:
        for request in asked:
            connection.execute(INSERT, row(request))


def in_batches(folder: Path, asked: Sequence[Request], to_row: Callable[[Request], tuple[Any, ...]]) -> None:
    with database(folder) as connection:
        for first in range(0, len(asked), BATCH):
            connection.execute("BEGIN")
            connection.executemany(INSERT, [to_row(request) for request in asked[first : first + BATCH]])
            connection.execute("COMMIT")


def raw_row(request: Request) -> tuple[Any, ...]:
    return (*request[:6], *(b"".join([array.tobytes() for array in arrays.values()]) for arrays in request[6:]))


def json_lines(folder: Path, asked: Sequence[Request], buffering: int) -> None:
    path = folder / f"{uuid.uuid4().hex}.jsonl"
    with path.open("wb", buffering=buffering) as stream:
        for request in asked:
            stream.write(json.dumps([*request[:6], plain(request[6]), plain(request[7])]).encode() + b"\n")
    path.unlink()


def orjson_lines(folder: Path, asked: Sequence[Request]) -> None:
    orjson = importlib.import_module("orjson")
    path = folder / f"{uuid.uuid4().hex}.jsonl"
    with path.open("wb") as stream:
        for request in asked:
            stream.write(orjson.dumps(request, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
    path.unlink()


def log(folder: Path, asked: Sequence[Request]) -> None:
    """As fast as the writer can follow; a faster caller would measure how records are dropped."""
    own = folder / uuid.uuid4().hex
    made = PredictionLog(own, 0)
    for index, request in enumerate(asked):
        made.append(*request)
        while index % 1000 == 999 and made.num_waiting > 2000:
            time.sleep(0.001)
    made.close(60)
    assert (made.num_dropped, count(own)) == (0, len(asked))


def append_only(folder: Path, asked: Sequence[Request]) -> None:
    """What the caller pays: nothing is written until all are handed over."""
    made = PredictionLog(folder / uuid.uuid4().hex, 0, capacity_records=0)
    made.close()
    made._is_closed, made._capacity_records = False, len(asked)
    for request in asked:
        made.append(*request)


def compare(report: Report, folder: Path) -> None:
    asked = requests(2_000 if report.quick else 20_000)
    variants: dict[str, Callable[[], None]] = {
        LOG: lambda: log(folder, asked),
        EACH: lambda: a_commit_each(folder, asked),
        MANY: lambda: in_batches(folder, asked, row),
        LINES: lambda: json_lines(folder, asked, -1),
        LINES_FLUSHED: lambda: json_lines(folder, asked, 0),
        ORJSON: lambda: orjson_lines(folder, asked),
        RAW: lambda: in_batches(folder, asked, raw_row),
    }
    if not is_installed("orjson"):
        del variants[ORJSON]
        report.without(ORJSON, "orjson is not installed")
    costs = interleave({name: lambda run=run: cost_of(run) for name, run in variants.items()}, 2 if report.quick else 7)
    handed = interleave({LOG: lambda: cost_of(lambda: append_only(folder, asked))}, 2 if report.quick else 7)
    report.table(
        f"microseconds a record, {len(asked):,} records (ratio: CPU, to {LOG}, median of {len(costs[LOG])} rounds)",
        [
            {
                "variant": name,
                "cpu_us": float(np.median([cost.cpu_s for cost in own])) / len(asked) * 1e6,
                "wall_us": float(np.median([cost.wall_s for cost in own])) / len(asked) * 1e6,
                "cpu_ratio": ratio(costs, name, LOG),
            }
            for name, own in costs.items()
        ],
    )
    per_record_us = float(np.median([cost.cpu_s for cost in costs[LOG]])) / len(asked) * 1e6
    append_us = float(np.median([cost.cpu_s for cost in handed[LOG]])) / len(asked) * 1e6
    report.goal("all in", per_record_us, at_most=5, unit="us CPU a record")
    report.goal("append alone", append_us, at_most=1, unit="us CPU a record")
    best = min((MANY, EACH, LINES, LINES_FLUSHED), key=lambda name: ratio(costs, name, LOG))
    report.goal(f"CPU of the best plain way ({best}) to ours", ratio(costs, best, LOG), at_least=1)


async def answered(rate: int, seconds: float, made: PredictionLog | None, asked: Sequence[Request]) -> list[float]:
    """How late callbacks run, in milliseconds: each tick answers what came, with 20 microseconds of work a request."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    num_done, late_ms = 0, []
    while (passed := loop.time() - began) < seconds:
        for request in asked[: int(passed * rate) - num_done]:
            until = time.perf_counter() + 20e-6
            while time.perf_counter() < until:
                pass
            if made is not None:
                made.append(*request)
            num_done += 1
        due = loop.time() + 0.001
        await asyncio.sleep(0.001)
        late_ms.append((loop.time() - due) * 1e3)
    return late_ms


def lateness(report: Report, folder: Path) -> None:
    asked = requests(1000)
    rows = []
    for rate in (5_000, 15_000):
        for name in ("without", LOG):
            made = PredictionLog(folder / uuid.uuid4().hex, 0) if name == LOG else None
            late_ms = asyncio.run(answered(rate, 0.5 if report.quick else 5, made, asked))
            if made is not None:
                made.close()
            p50, p99, most = (float(np.percentile(late_ms, share)) for share in (50, 99, 100))
            dropped = made.num_dropped if made else 0
            written = made.num_written if made else 0
            rows.append({"log": name, "rate": rate, "late_p50_ms": p50, "late_p99_ms": p99, "late_max_ms": most,
                         "written": written, "dropped": dropped})  # fmt: skip
    report.table("how late the callbacks of the event loop run", rows)


def main() -> None:
    report = start(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        compare(report, Path(folder))
        lateness(report, Path(folder))
    report.finish()


if __name__ == "__main__":
    main()
