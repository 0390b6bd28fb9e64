"""Servers as processes: start them, wait for a right answer, put load on them, and read what that cost.

Cost is the processor time of a server's whole process tree, from /proc: it counts helpers, and a neighbour on the same
machine disturbs it far less than a rate.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
READY_TIMEOUT_S, STOP_TIMEOUT_S = 90.0, 15.0
SCRIPT = Path(__file__).with_name("_serving_post.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw, and what it cost the server."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Of the process tree, for each request."""
    num_failed: int
    """Answers other than 2xx, and connections that broke or timed out."""


@dataclass(slots=True)
class Server:
    """A server under test.

    Attributes:
        path: Where a prediction is asked for.
        body: JSON that asks for one prediction.
        is_right: Whether an answer holds the numbers that the network gives.
    """

    name: str
    command: Sequence[str]
    port: int
    path: str
    body: bytes
    is_right: Callable[[bytes], bool]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    start_s: float = 0.0
    """Until the first right answer."""

    def file(self, ending: str) -> Path:
        return self.folder / f"{re.sub(r'[^a-zA-Z0-9]+', '-', self.name)}.{ending}"

    def start(self) -> None:
        """Start the process, and wait for its first right answer.

        Raises:
            RuntimeError: It ended, or did not answer rightly in time.
        """
        self.file("json").write_bytes(self.body)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **self.environment}
        started = time.perf_counter()
        with self.file("log").open("wb") as talk:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=environment, stdout=talk, stderr=talk, start_new_session=True
            )
        status, answer = 0, b""
        while status != 200 and time.perf_counter() < started + READY_TIMEOUT_S:
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended with {self.process.returncode}: {self.last_line()}")
            status, answer = self._ask()
            time.sleep(0.0 if status == 200 else 0.02)
        self.start_s = time.perf_counter() - started
        if status != 200 or not self.is_right(answer):
            raise RuntimeError(f"wrong answer {status} {answer[:200]!r}; its log ends with: {self.last_line()}")

    def _ask(self) -> tuple[int, bytes]:
        """The status and the body of one answer; 0 if nobody listens yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", self.path, self.body, {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error).encode()
        finally:
            connection.close()

    def last_line(self) -> str:
        lines = self.file("log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def put_load(self, num_connections: int, duration_s: int) -> Load:
        """Keep `num_connections` busy for a while.

        Args:
            duration_s: Whole seconds, as wrk wants them.

        Raises:
            RuntimeError: wrk gave no figures.
        """
        command = ["wrk", "-t1", f"-c{num_connections}", f"-d{duration_s}s", "--timeout", "5s", "-s", str(SCRIPT)]
        before_s = self.cpu_s()
        ended = subprocess.run(
            [*command, f"http://127.0.0.1:{self.port}{self.path}", "--", str(self.file("json"))],
            capture_output=True,
            text=True,
        )
        cpu_s = self.cpu_s() - before_s
        figures = re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)", ended.stdout)
        if figures is None:
            raise RuntimeError(f"wrk gave no figures for {self.name}: {ended.stdout}{ended.stderr}")
        num_requests, num_bad, num_lost = (int(figures[index]) for index in (1, 2, 3))
        duration_us, p50_us, p99_us = (float(figures[index]) for index in (4, 5, 6))
        return Load(
            requests_s=num_requests / duration_us * 1e6,
            p50_ms=p50_us / 1e3,
            p99_ms=p99_us / 1e3,
            cpu_us=cpu_s / max(num_requests, 1) * 1e6,
            num_failed=num_bad + num_lost,
        )

    def cpu_s(self) -> float:
        """User and system time of the tree so far; children that ended are in their parents' figures."""
        fields = [_stat(process) for process in self._tree()]
        return sum(float(one[11]) + float(one[12]) + float(one[13]) + float(one[14]) for one in fields if one) / (
            TICKS_PER_S
        )

    def memory_mib(self) -> float:
        """Proportional set size of the tree: pages that processes share are counted once."""
        total_kib = 0
        for process in self._tree():
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
                total_kib += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
        return total_kib / 1024

    def _tree(self) -> set[int]:
        """The processes of the server's session, and all their children."""
        assert self.process is not None
        stats = {int(one.name): _stat(int(one.name)) for one in Path("/proc").iterdir() if one.name.isdigit()}
        tree = {self.process.pid}
        tree |= {process for process, one in stats.items() if one and int(one[3]) == self.process.pid}
        found = -1
        while found != len(tree):
            found = len(tree)
            tree |= {process for process, one in stats.items() if one and int(one[1]) in tree}
        return tree

    def stop(self) -> None:
        if self.process is None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):  # to the group: some wrappers do not pass it on
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while time.monotonic() < deadline and any(_stat(process) for process in self._tree()):
                if self.process.poll() is not None and len(self._tree()) == 1:
                    return
                time.sleep(0.05)


def _stat(process: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, from the state on; None for one that is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
