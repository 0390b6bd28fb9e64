"""One process that answers.

`python -m mltool.serving.worker ORDER` is how a supervisor starts it; ORDER is JSON.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.core.errors import MltoolError
from mltool.serving.config import ServeConfig
from mltool.serving.keys import api_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one of several workers is told.

    Attributes:
        listener, voice, lifeline: File descriptors that it inherits: the socket, the pipe to say how it goes in, and
            the one that ends when the supervisor does.
        record_folder: None records nothing.
    """

    model: str
    ref: str | None
    digest: str
    config: Mapping[str, Any]
    record_folder: str | None
    worker: int
    num_workers: int
    metrics: str
    listener: int
    voice: int
    lifeline: int

    def text(self) -> str:
        return json.dumps(asdict(self))


def answer(
    model: Artifact,
    config: ServeConfig,
    listener: socket.socket,
    *,
    record_folder: Path | None,
    worker: int = 0,
    num_workers: int = 1,
    metrics: Path | None = None,
    on_ready: Callable[[], None] = lambda: None,
    on_closed: Callable[[], None] = lambda: None,
) -> bool:
    """Load the model and answer until SIGTERM; False if requests were cut off.

    Raises:
        MltoolError: The model cannot be served.
    """
    import numpy

    # The web server is imported where it is used, so that the supervisor stays small.
    from mltool.serving.app import App
    from mltool.serving.metrics import Metrics
    from mltool.serving.recording import Recorder
    from mltool.serving.served import load_served
    from mltool.serving.server import Server

    numpy.seterr(over="ignore", invalid="ignore")  # what does not fit is refused, and told to whoever sent it
    key = api_key(config)
    served = load_served(model, config)
    with tempfile.TemporaryDirectory(prefix="mltool-") as folder:
        counters = Metrics(metrics or Path(folder) / "metrics", worker, num_workers)
        recorder = Recorder(served, config, record_folder, worker)
        app = App(served, config, counters, recorder, key)
        server = Server(
            app,
            listener,
            drain_s=config.drain_s,
            arrival_s=config.timeout_s,
            on_ready=on_ready,
            on_closed=on_closed,
        )
        is_whole = server.run_until_stopped()
    if app.is_running:
        atexit.register(_leave, 0 if is_whole else 1)
    return is_whole


def _leave(code: int) -> None:
    """End without tidying up: a model that still runs, on a thread that nobody can stop, would crash in the middle."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _follow(lifeline: int) -> None:
    """End, after what is begun, when the supervisor has ended: nobody would watch or stop this worker any more."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGHUP)  # not SIGTERM: where it drains already, a second one would end it at once


def main(text: str) -> int:
    order = Order(**json.loads(text))
    voice = os.fdopen(order.voice, "w", encoding="utf-8")
    threading.Thread(target=_follow, args=(order.lifeline,), name="lifeline", daemon=True).start()

    def say(**body: Any) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            voice.write(json.dumps(body) + "\n")
            voice.flush()

    try:
        model = Artifact.open(Path(order.model), order.ref)
        if model.digest != order.digest:
            raise MltoolError(f"`{order.model}` holds another model than the one that was to be served")
        is_whole = answer(
            model,
            ServeConfig(**order.config),
            socket.socket(fileno=order.listener),
            record_folder=Path(order.record_folder) if order.record_folder else None,
            worker=order.worker,
            num_workers=order.num_workers,
            metrics=Path(order.metrics),
            on_ready=lambda: say(ready=True),
            on_closed=lambda: say(closed=True),
        )
    except MltoolError as error:
        say(error=error.message, hint=error.hint, exit_code=error.exit_code)
        sys.stderr.write(f"error: {error.message}\n")
        return error.exit_code
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
