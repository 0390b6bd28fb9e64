"""Containers that end when we do, however we end."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mltool.integrations.google.standins.runners import HOST, Runner, StartError, Wanted

_POLL_S = 0.05
_STOP_S = 10.0
_KEEPER = """
exec 3<&0
"$@" 3<&- </dev/null &
child=$!
( read -r _ <&3; kill -TERM "$child" ) 2>/dev/null &
keeper=$!
wait "$child"; code=$?
kill "$keeper" 2>/dev/null
exit $code
"""
"""Runs a command until it ends or our end of the pipe is closed, as it is when we are killed."""


class Container:
    """One that runs, and answers on `port` of this machine."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, remove: Callable[[], None]) -> None:
        self.process, self.port, self._remove = process, port, remove

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """Tell it to end, and do not wait."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    def stop(self) -> None:
        """End it as Cloud Run does: SIGTERM, ten seconds, SIGKILL."""
        self.end()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._remove()


def start(runner: Runner, wanted: Wanted, home: Path, is_wanted: Callable[[], bool] = lambda: True) -> Container:
    """Start a container, and wait until its probe succeeds.

    Args:
        home: Folder for its log; a process has it as its home and its current folder.

    Raises:
        StartError: It ends, or does not come up in time.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    command = runner.command(wanted, home, port)
    with (home / "log.txt").open("ab") as stream:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", *command.words],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            cwd=home,
            env=command.environment,
            start_new_session=True,
        )
    container = Container(process, port, lambda: runner.remove(command.container))
    try:
        _await(container, wanted, is_wanted)
    except BaseException:
        container.stop()
        raise
    return container


def _await(container: Container, wanted: Wanted, is_wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + wanted.patience_s
    while not _is_up(container.port, wanted.probe_path):
        if not container.is_running:
            raise StartError(f"The container exited with code {container.process.returncode}.")
        if time.monotonic() > deadline or not is_wanted():
            raise StartError("The startup probe did not succeed in time.")
        time.sleep(_POLL_S)


def _is_up(port: int, path: str | None) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        if path is None:
            connection.connect()
            return True
        connection.request("GET", path)
        return 200 <= connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Fleet:
    """All containers that run, by the name of their revision.

    Args:
        folder: For their logs; each revision has a folder of its own.
    """

    def __init__(self, runner: Runner, folder: Path) -> None:
        self._runner, self._folder = runner, folder
        self._lock = threading.Lock()
        self._running: dict[str, Container] = {}
        self._wanted: dict[str, Wanted] = {}
        self._is_stopped = False

    def log_of(self, name: str) -> Path:
        return self._folder / name.rpartition("/")[2] / "log.txt"

    def ensure(self, wanted: Wanted) -> Container:
        """Start a container unless it runs; one of the same name that was wanted otherwise is of a deleted service.

        Raises:
            StartError: It does not come up.
        """
        with self._lock:
            known, is_same = self._running.get(wanted.name), self._wanted.get(wanted.name) == wanted
        if known is not None and known.is_running and is_same:
            return known
        if known is not None:
            known.stop()
        started = start(self._runner, wanted, self.log_of(wanted.name).parent, lambda: not self._is_stopped)
        with self._lock:
            if not self._is_stopped:
                self._running[wanted.name] = started
                self._wanted[wanted.name] = wanted
                return started
        started.stop()
        raise StartError("The stand-ins are stopped.")

    def reach(self, name: str) -> int | None:
        """The port of a revision; one whose container has ended gets another, as it would from Cloud Run."""
        with self._lock:
            wanted, running = self._wanted.get(name), self._running.get(name)
        if wanted is None:
            return None
        try:
            return running.port if running is not None and running.is_running else self.ensure(wanted).port
        except StartError:
            return None

    def keep_only(self, prefix: str, names: set[str]) -> None:
        """Stop the containers of a service, all but those of some revisions."""
        with self._lock:
            others = [name for name in self._running if name.startswith(f"{prefix}/") and name not in names]
            stopped = [self._running.pop(name) for name in others]
            for name in others:
                self._wanted.pop(name, None)
        for container in stopped:
            container.stop()

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            stopped = list(self._running.values())
            self._running.clear()
        for container in stopped:
            container.end()
        for container in stopped:
            container.stop()
