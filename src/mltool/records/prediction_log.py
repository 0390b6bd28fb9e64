"""The prediction log: what a deployed model was asked, what it answered, and how long it took.

One SQLite file a worker, `<folder>/worker-<index>.sqlite`; `reading.py` merges them. `time_utc` is in Unix seconds,
when the request came, which sorts and subtracts; the view `readable` shows it as text. `inputs` and `outputs` are
arrays by name in the safetensors format, or NULL where they are not to be kept. When a file has grown to `max_bytes`,
its oldest records make room; beside it, the write-ahead log takes up to 16 MiB.
"""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from mltool.records.database import reason
from mltool.records.log_file import Arrays, Entry, LogFile

COMMIT_RECORDS = 1000
"""When so many records wait, they are written at once."""
COMMIT_INTERVAL_S = 0.1
"""The longest that a record waits before it is written: what a killed worker may lose."""
_MAX_BATCH = 1000


class PredictionLog:
    """Writes the records of one worker, from a thread of its own; serving never waits for it and never fails by it.

    What cannot be written waits in memory for better times, such as room on the disk. Once `capacity_records` or
    `capacity_bytes` of arrays wait, records are dropped and counted.

    Args:
        worker: The number of this worker; two processes may share it for a while, as when one takes over.
        max_bytes: Size of the file above which the oldest records are deleted.
    """

    def __init__(
        self,
        folder: Path,
        worker: int,
        *,
        capacity_records: int = 10_000,
        capacity_bytes: int = 64 << 20,
        max_bytes: int = 1 << 30,
    ) -> None:
        self.path = folder / f"worker-{worker}.sqlite"
        self._file = LogFile(self.path, max_bytes)
        self._capacity_records, self._capacity_bytes = capacity_records, capacity_bytes
        self._waiting: deque[Entry] = deque()
        self._batch: list[Entry] = []
        # No count has two threads that change it: these are of who appends, the next of the writer.
        self._num_accepted = self._num_refused = self._bytes_accepted = 0
        self._num_written = self._num_lost = self._bytes_done = 0
        self._num_refused_before = 0
        self._is_failing = self._is_closed = False
        self._wake = threading.Event()
        self._writer = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._writer.start()

    def append(
        self,
        request_id: str,
        time_s: float,
        deployment: str,
        model_digest: str,
        status: int,
        latency_ms: float,
        inputs: Arrays | None = None,
        outputs: Arrays | None = None,
    ) -> None:
        """Hand over one record, from one thread; takes about a microsecond, never blocks and never raises.

        Args:
            time_s: When the request came, in Unix seconds.
            status: Of HTTP.
            inputs: Not copied, so nobody may write to them, or to `outputs`, any more; None keeps them out of the log.
        """
        num_bytes = 0
        if inputs is not None:
            for array in inputs.values():
                num_bytes += array.nbytes
        if outputs is not None:
            for array in outputs.values():
                num_bytes += array.nbytes
        num_waiting = len(self._waiting)
        if (
            num_waiting >= self._capacity_records
            or self._bytes_accepted - self._bytes_done + num_bytes > self._capacity_bytes
            or self._is_closed
        ):
            self._num_refused += 1
            return
        self._num_accepted += 1
        self._bytes_accepted += num_bytes
        self._waiting.append(
            (request_id, time_s, deployment, model_digest, status, latency_ms, inputs, outputs, num_bytes)
        )
        if num_waiting + 1 == COMMIT_RECORDS:
            self._wake.set()

    @property
    def num_written(self) -> int:
        """Records that are committed: a killed process does not lose them."""
        return self._num_written

    @property
    def num_dropped(self) -> int:
        return self._num_refused + self._num_lost

    @property
    def num_waiting(self) -> int:
        return self._num_accepted - self._num_written - self._num_lost

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, and return after `timeout_s` at most; what cannot be written is dropped and counted."""
        self._is_closed = True
        self._wake.set()
        self._writer.join(timeout_s)
        if self._writer.is_alive():
            self._file.warn(f"was given up while {self.num_waiting} records waited: it took more than {timeout_s:g} s")

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._wake.wait(COMMIT_INTERVAL_S)
            self._wake.clear()
            is_last = self._is_closed  # asked before writing: after that nothing is appended
            self._write_waiting()
        self._num_lost += len(self._batch) + len(self._waiting)
        self._file.close()

    def _write_waiting(self) -> None:
        """Write what waits now; what comes meanwhile is left for the next time, when it is a batch worth a commit."""
        num_left = len(self._waiting)
        while self._batch or num_left:
            if not self._batch:
                self._batch = [self._waiting.popleft() for _ in range(min(num_left, _MAX_BATCH))]
                num_left -= len(self._batch)
            is_overrun, self._num_refused_before = self._num_refused > self._num_refused_before, self._num_refused
            try:
                num_written = self._file.write(self._batch)
            except Exception as error:  # noqa: BLE001  # whatever it is, the model goes on answering
                self._is_failing = True
                self._file.warn(f"cannot be written, so records will be dropped: {reason(error)}")
                if is_overrun:  # the oldest make room: they may be what cannot be written
                    self._done(0)
                return
            self._done(num_written)
            if self._is_failing:
                self._is_failing = False
                self._file.say("info", f"is written again; {self.num_dropped} records were dropped")
            elif is_overrun:
                self._file.warn("cannot be written as fast as records come, so some are dropped")

    def _done(self, num_written: int) -> None:
        self._num_written += num_written
        self._num_lost += len(self._batch) - num_written
        self._bytes_done += sum(entry[-1] for entry in self._batch)
        self._batch = []
