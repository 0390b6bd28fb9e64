"""Google Cloud on this machine, for as long as the command runs."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from filelock import FileLock, Timeout

from mltool.artifacts.store import write_ignored
from mltool.core import events
from mltool.core.errors import MltoolError
from mltool.integrations.engines import Engine, find_engine
from mltool.integrations.google.standins.extra import expect_extra
from mltool.stages.gcp.config import PROCESS, EmulateJob

FOLDER, BUCKETS = "gcp", "storage"
EMULATOR_VARIABLE, STORAGE_VARIABLE = "MLTOOL_GCP__EMULATOR", "STORAGE_EMULATOR_HOST"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the stand-ins answer.

    Attributes:
        grpc: `HOST:PORT` of all that speaks gRPC.
        folder: Where objects, images and logs are.
    """

    grpc: str
    storage: str
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What to export, so that `mltool deploy gcp` and Google's own clients find them."""
        return {EMULATOR_VARIABLE: self.grpc, STORAGE_VARIABLE: self.storage}


def emulate(job: EmulateJob, root: Path, on_ready: Callable[[Endpoints], None]) -> None:
    """Answer as Google Cloud would, until SIGTERM or Ctrl-C.

    Args:
        root: Folder of the store. What is uploaded stays below it; what is deployed is forgotten by the next run.

    Raises:
        MltoolError: The extra is not installed, a port is taken, or the command runs already.
    """
    expect_extra()
    from mltool.integrations.google.standins.cloud import StandIns

    config, folder = job.emulate, root / FOLDER
    engine = _engine(config.engine)
    with stopping() as stop, _alone(root):
        _forget_deployed(folder)
        cloud = StandIns(
            folder, port=config.port, storage_port=config.storage_port, project=config.project, engine=engine
        )
        with cloud:
            on_ready(Endpoints(cloud.grpc_endpoint, cloud.storage_endpoint, folder))
            events.info(f"Google Cloud stands in here, in `{folder}`; Ctrl-C ends it, and all that is deployed to it")
            stop.get()
    events.info("stopped; nothing of it runs any more")


def _forget_deployed(folder: Path) -> None:
    """Remove what an earlier run has built and logged. Buckets stay, since data that was pushed is nowhere else."""
    for path in folder.glob("*"):
        if path.name != BUCKETS:
            shutil.rmtree(path, ignore_errors=True)


def _engine(wanted: str) -> Engine | None:
    """What builds and runs images; None is this Python.

    Raises:
        MltoolError: The engine that was asked for does not work here.
    """
    try:
        engine = None if wanted == PROCESS else find_engine(wanted)
    except MltoolError as error:
        if wanted != "auto":
            raise MltoolError(error.message, hint=f"install it, or use `engine={PROCESS}`, which needs none") from error
        engine = None
    how = f"images are built and run by {engine.name}" if engine else "images are run by this Python, as they are"
    events.info(how)
    return engine


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Raises: MltoolError: Others stand in already, with the same folder, or it cannot be written."""
    try:
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        write_ignored(root)
    except OSError as error:
        raise MltoolError(f"`{root / FOLDER}` cannot be written: {error.strerror}") from error
    try:
        with FileLock(root / f"{FOLDER}.lock", timeout=0):
            yield
    except Timeout:
        raise MltoolError(
            f"`mltool gcp emulate` runs already, with the same `{root / FOLDER}`", hint="end that one first"
        ) from None


@contextmanager
def stopping() -> Iterator[SimpleQueue[int]]:
    """Where SIGTERM and Ctrl-C are put, in place of what they would do otherwise.

    A handler runs in the middle of whatever the main thread does: an event or another queue, whose lock that thread may
    hold just then, would wait for itself.
    """
    stop: SimpleQueue[int] = SimpleQueue()
    before = {one: signal.signal(one, lambda number, _: stop.put(number)) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
