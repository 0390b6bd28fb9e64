"""Weights & Biases: training never waits for it, and never fails because of it."""

from __future__ import annotations

import netrc
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mltool.core import events

_PROBE_TIMEOUT_S = 1.0
_FINISH_TIMEOUT_S = 30.0
_DEFAULT_URL = "https://api.wandb.ai"


def decide_mode(wanted: str) -> str:
    """`online` or `offline`, decided before `wandb.init`, which would hang or fail in the wrong one.

    `auto` is online where a key is found and the server answers.
    """
    if wanted != "auto":
        return wanted
    if os.environ.get("WANDB_MODE") in ("offline", "online", "disabled"):
        return os.environ["WANDB_MODE"]
    return "online" if _has_key() and _answers() else "offline"


def _server() -> tuple[str, int]:
    parts = urlsplit(os.environ.get("WANDB_BASE_URL", _DEFAULT_URL))
    return parts.hostname or "api.wandb.ai", parts.port or (80 if parts.scheme == "http" else 443)


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators(_server()[0]) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _answers() -> bool:
    try:
        with socket.create_connection(_server(), timeout=_PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


@contextmanager
def tracking(
    project: str, mode: str, run_id: str, folder: Path, config: dict[str, Any], *, resume: bool
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function to call with the metrics of every epoch.

    Args:
        folder: Where an offline run is written; the line that uploads it later is said at the end.
    """
    import wandb

    decided = decide_mode(mode)
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, init_timeout=30)
    run = wandb.init(
        project=project,
        id=run_id,
        dir=str(folder),
        config=config,
        mode=decided,  # type: ignore[arg-type]
        resume="allow" if resume and decided == "online" else None,
        settings=settings,
    )
    try:
        yield lambda metrics: run.log(metrics, step=metrics["epoch"])
    finally:
        # finish() uploads what is left and may wait for the network; the run is safe on disk by now.
        finishing = threading.Thread(target=run.finish, kwargs={"quiet": True}, daemon=True)
        finishing.start()
        finishing.join(_FINISH_TIMEOUT_S)
        if decided == "offline":
            events.info(f"Weights & Biases ran offline; upload with `wandb sync {Path(run.dir).parent}`")
        elif finishing.is_alive():
            events.warning(f"Weights & Biases is still uploading; `wandb sync {Path(run.dir).parent}` completes it")
