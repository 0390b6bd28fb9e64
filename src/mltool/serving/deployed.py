"""The process behind a local deployment: it owns the socket, and changes models behind it.

`python -m mltool.serving.deployed ROOT NAME` serves the version that the ledger says is starting. SIGHUP makes it look
again; SIGTERM ends it. What it says goes to the log of the deployment.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.core import events
from mltool.core.errors import ArtifactError, MltoolError
from mltool.core.processes import identity
from mltool.records.deployment import DeployedVersion, Deployment, Live, VersionState
from mltool.records.ledger import Ledger
from mltool.serving.config import ServeConfig
from mltool.serving.listening import listen, url_of
from mltool.serving.supervisor import Generation, Plan, stopping_signals


class Deployed:
    """The versions of one deployment, one after the other, on one socket."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger, self._name = ledger, name
        self._listener: socket.socket | None = None
        self._address: tuple[str, int] | None = None
        self._generation: Generation | None = None
        self._number: int | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        stop, look = stopping_signals(), asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, look.set)
        await _first(stop.wait(), self._advance())
        while self._generation is not None:  # else nothing ever answered: there is nothing to stay for
            if await _first(stop.wait(), look.wait()) == 0:
                break
            look.clear()
            await _first(stop.wait(), self._advance())
        if self._generation is None:
            return 1
        if self._listener is not None:
            self._listener.close()  # the workers have handles of their own; the last of them must be the last of all
        is_whole = await self._generation.stop()
        await asyncio.gather(*self._retiring)
        self._note(lambda deployment: deployment.stopped("" if is_whole else "running requests were cut off"))
        return 0

    async def _advance(self) -> None:
        """Bring the version that is starting into service; if it fails, what answers now goes on."""
        version = self._ledger.read(self._name).starting
        if version is None:
            return
        try:
            config = ServeConfig(**version.config)
            folder = config.recorded_in(self._ledger.predictions(self._name))
            plan = Plan(self._opened(version), config, folder)
            listener, is_new = self._socket(config)
            generation = Generation(plan, listener, self._note_death)
            try:
                await generation.start()
            except BaseException:
                if is_new:
                    listener.close()
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the old version goes on, and somebody waits to hear
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, MltoolError):
                reason = f"{error.message}; {error.hint}" if error.hint else error.message
            events.warning(f"version {version.number} failed: {reason}")
            self._note(lambda deployment: deployment.failed(version.number, reason))
            return
        if not self._is_wanted(version.number):
            await generation.stop(drain_s=0)  # meanwhile it was stopped, or somebody has lost patience
            if is_new:
                listener.close()
            return
        before, self._generation, self._number = self._generation, generation, version.number
        if is_new and self._listener is not None:
            self._listener.close()
        self._listener, self._address = listener, (config.host, config.port)
        if before is not None:
            await before.close()  # before it is said that the new version answers: from then on no other does
        self._note(lambda deployment: deployment.went_live(version.number, self._live(listener)))
        events.info(f"version {version.number}, `{plan.model.label}`, answers on {url_of(listener)}")
        if before is not None:
            task = asyncio.create_task(self._retire(before))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    @staticmethod
    async def _retire(generation: Generation) -> None:
        """Let a version that was replaced answer what it has begun, while the next one may already be replaced."""
        is_whole = await generation.stop()
        events.info("a version that was replaced has ended" + ("" if is_whole else "; running requests were cut off"))

    def _is_wanted(self, number: int) -> bool:
        """Whether a version is still to go live."""
        try:
            return self._ledger.read(self._name).version(number).state is VersionState.starting
        except (MltoolError, OSError):
            return True

    def _opened(self, version: DeployedVersion) -> Artifact:
        model = Artifact.open(Path(version.model_path), version.model_ref)
        if model.digest != version.model_digest:
            raise ArtifactError(f"`{version.model_path}` holds another model than the one that was deployed")
        return model

    def _socket(self, config: ServeConfig) -> tuple[socket.socket, bool]:
        """The socket to serve on, and whether it is another one than before."""
        is_same = self._listener is not None and (
            self._address == (config.host, config.port)
            or self._listener.getsockname()[:2] == (config.host, config.port)
        )
        if is_same and self._listener is not None:
            return self._listener, False
        return listen(config.host, config.port), True

    def _live(self, listener: socket.socket) -> Live:
        host, port = listener.getsockname()[:2]
        return Live(pid=os.getpid(), process=identity(os.getpid()), host=host, port=port, url=url_of(listener))

    def _note_death(self, worker: int, code: int) -> None:
        text = f"worker {worker} ended with {code}, and is started again"
        events.warning(text)
        self._note(lambda deployment: deployment.record("worker_died", self._number, text))

    def _note(self, change: Callable[[Deployment], None]) -> None:
        """Change the ledger; if that cannot be, as on a full disk, the model goes on answering."""
        try:
            with self._ledger.locked(self._name) as deployment:
                change(deployment)
        except (MltoolError, OSError) as error:
            events.warning(f"the ledger of `{self._name}` cannot be written: {error}")


async def _first(*waiting: Coroutine[Any, Any, object]) -> int:
    """Which of them is done first; the others are given up."""
    tasks = [asyncio.create_task(one) for one in waiting]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    first = next(index for index, task in enumerate(tasks) if task.done())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return first


def _say(event: events.Event) -> None:
    if isinstance(event, events.Message):
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        sys.stderr.write(f"{moment} {event.level} {event.text}\n")
        sys.stderr.flush()


def main(root: str, name: str) -> int:
    with events.subscribed(_say):
        return asyncio.run(Deployed(Ledger(Path(root)), name).run())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
