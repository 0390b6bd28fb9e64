"""Workers that share one socket: started together, started again when one dies, replaced without losing a request.

The socket belongs to the supervisor. Whoever connects is accepted by the system at once, and waits there while old
workers hand over to new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.core import errors, events
from mltool.core.errors import MltoolError
from mltool.serving.config import ServeConfig
from mltool.serving.worker import Order

_START_S = 120.0
_CLOSE_S = 5.0
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""How long to wait before a worker that died is started again, by how often it has died of late."""
_HEALTHY_S = 60.0
"""After which its earlier deaths are forgotten."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a generation of workers serves."""

    model: Artifact
    config: ServeConfig
    record_folder: Path | None


class Generation:
    """The workers that serve one plan.

    Args:
        on_death: Called with the worker's number and its exit code, when one ends that was not told to.
    """

    def __init__(self, plan: Plan, listener: socket.socket, on_death: Callable[[int, int], None]) -> None:
        self._plan, self._listener, self._on_death = plan, listener, on_death
        self._folder = tempfile.TemporaryDirectory(prefix="mltool-")
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._voices: dict[int, _Voice] = {}
        self._ready: set[int] = set()
        self._is_stopping = False
        # Its other end is in every worker: it closes when we die, however we do.
        self._lifeline, self._held = os.pipe()

    async def start(self) -> None:
        """Start all workers, and return when each of them answers.

        Raises:
            MltoolError: One could not: the same that it said.
        """
        numbers = range(self._plan.config.workers)
        try:
            await asyncio.gather(*(self._start(number) for number in numbers))
        except BaseException:
            await self.stop(drain_s=0)
            raise
        self._watchers = [asyncio.create_task(self._watch(number)) for number in numbers]

    async def close(self) -> None:
        """Have the workers take no new connections, and return when none does any more; they end by themselves."""
        if self._is_stopping:
            return
        self._is_stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        self.terminate()
        voices = [self._voices[number] for number in self._ready]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(voice.next() for voice in voices)), _CLOSE_S)

    def terminate(self) -> None:
        """Have the workers drain; a second time, have them end at once."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    async def stop(self, drain_s: float | None = None) -> bool:
        """Let the workers end what they have begun; False if one had to be killed."""
        await self.close()
        patience_s = self._plan.config.drain_s + 5 if drain_s is None else drain_s + 1
        numbers = list(self._processes)
        codes = await asyncio.gather(*(_ended(self._processes[number], patience_s) for number in numbers))
        for voice in self._voices.values():
            voice.close()
        for descriptor in (self._lifeline, self._held):
            os.close(descriptor)
        self._folder.cleanup()
        return all(code == 0 for number, code in zip(numbers, codes, strict=True) if number in self._ready)

    async def _start(self, number: int) -> None:
        ours, theirs = os.pipe()
        order = Order(
            model=str(self._plan.model.path),
            ref=self._plan.model.ref,
            digest=self._plan.model.digest,
            config=asdict(self._plan.config),
            record_folder=str(self._plan.record_folder) if self._plan.record_folder else None,
            worker=number,
            num_workers=self._plan.config.workers,
            metrics=str(Path(self._folder.name) / "metrics"),
            listener=self._listener.fileno(),
            voice=theirs,
            lifeline=self._lifeline,
        )
        # -P: a file in the current folder must not take the place of a library's.
        arguments = [sys.executable, "-P", "-m", "mltool.serving.worker", order.text()]
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(self._listener.fileno(), theirs, self._lifeline),
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor alone
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._processes[number] = process
        voice = self._voices[number] = await _Voice.of(ours)
        try:
            said = await asyncio.wait_for(voice.next(), _START_S)
        except TimeoutError:
            process.kill()
            raise MltoolError(f"a worker was not ready within {_START_S:g} s") from None
        if not said.get("ready"):
            await _ended(process, 1.0)
            raise _error_of(said, process.returncode)
        self._ready.add(number)

    async def _watch(self, number: int) -> None:
        deaths, clock = 0, asyncio.get_running_loop().time
        while True:
            started = clock()
            code = await self._processes[number].wait()
            if self._is_stopping:
                return
            self._ready.discard(number)
            self._on_death(number, code)
            deaths = 0 if clock() - started > _HEALTHY_S else deaths
            while number not in self._ready:
                await asyncio.sleep(_BACKOFF_S[min(deaths, len(_BACKOFF_S) - 1)])
                deaths += 1
                try:
                    await self._start(number)
                except (MltoolError, OSError) as error:
                    events.warning(f"worker {number} cannot start again: {error}")


async def _ended(process: asyncio.subprocess.Process, patience_s: float) -> int:
    try:
        return await asyncio.wait_for(process.wait(), patience_s)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


class _Voice:
    """What a worker says, one JSON object a line; nothing more once it has ended."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.BaseTransport) -> None:
        self._reader, self._transport = reader, transport

    @classmethod
    async def of(cls, descriptor: int) -> _Voice:
        reader = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        return cls(reader, transport)

    async def next(self) -> dict[str, Any]:
        line = await self._reader.readline()
        said: dict[str, Any] = json.loads(line) if line else {}
        return said

    def close(self) -> None:
        self._transport.close()


def _error_of(said: dict[str, Any], code: int | None) -> MltoolError:
    if "error" not in said:
        return MltoolError(f"a worker ended with {code} before it was ready")
    kinds = (errors.ConfigError, errors.ArtifactError, errors.CheckError)
    kind = next((kind for kind in kinds if kind.exit_code == said.get("exit_code")), MltoolError)
    return kind(said["error"], hint=said.get("hint"))


def stopping_signals() -> asyncio.Event:
    """Set by SIGTERM and Ctrl-C from now on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def supervise(plan: Plan, listener: socket.socket, on_ready: Callable[[], None]) -> bool:
    """Serve with several workers until SIGTERM or Ctrl-C; False if requests were cut off.

    Raises:
        MltoolError: They could not be started.
    """
    return asyncio.run(_supervise(plan, listener, on_ready))


async def _supervise(plan: Plan, listener: socket.socket, on_ready: Callable[[], None]) -> bool:
    stop = stopping_signals()

    def died(worker: int, code: int) -> None:
        events.warning(f"worker {worker} ended with {code}, and is started again")

    generation = Generation(plan, listener, died)
    starting = asyncio.create_task(generation.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return True
    starting.result()
    on_ready()
    await stopping
    listener.close()  # the workers have handles of their own; the last of them must be the last of all
    stop.clear()
    ending, hurrying = asyncio.create_task(generation.stop()), asyncio.create_task(stop.wait())
    await asyncio.wait({ending, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    if not ending.done():
        generation.terminate()
    return await ending
