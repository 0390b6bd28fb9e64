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
from mltool.core.errors import RemoteError

_PROBE_TIMEOUT_S = 1.0
_INIT_TIMEOUT_S = 30.0
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
        login = netrc.netrc().authenticators(_server()[0])
        return login is not None and bool(login[2])
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

    Raises:
        RemoteError: `online` was asked for by somebody who is not logged in, or not even an offline run can start.
    """
    import wandb

    def start(mode: str) -> Any:
        return wandb.init(
            project=project,
            id=run_id,
            dir=str(folder),
            config=config,
            mode=mode,  # type: ignore[arg-type]
            resume="allow" if resume and mode == "online" else None,
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, init_timeout=_INIT_TIMEOUT_S),
        )

    decided = decide_mode(mode)
    try:
        run = start(decided)
    except wandb.Error as error:
        if decided == "offline" or (mode == "online" and not _has_key()):
            login = "run `wandb login`, or use `wandb_mode=offline`"
            hint = "leave `wandb_project` out" if decided == "offline" else login
            raise RemoteError(f"Weights & Biases cannot be used: {_first_line(error)}", hint=hint) from error
        events.warning(f"Weights & Biases cannot be used: {_first_line(error)}; it runs offline")
        wandb.teardown()  # else the id of the run is still in use
        decided = "offline"
        run = start(decided)
    is_logged = True

    def log(metrics: dict[str, Any]) -> None:
        nonlocal is_logged
        if not is_logged:
            return
        try:
            run.log(metrics, step=metrics["epoch"])
        except Exception as error:  # noqa: BLE001  # its service may have died: no reason to lose a training
            events.warning(f"Weights & Biases takes no more metrics: {_first_line(error)}")
            is_logged = False

    try:
        yield log
    finally:
        # finish() uploads what is left and may wait for the network; the run is safe on disk by now.
        finishing = threading.Thread(target=_finish, args=(run,), daemon=True)
        finishing.start()
        finishing.join(_FINISH_TIMEOUT_S)
        if decided == "offline":
            events.info(f"Weights & Biases ran offline; upload with `wandb sync {Path(run.dir).parent}`")
        elif finishing.is_alive():
            events.warning(f"Weights & Biases is still uploading; `wandb sync {Path(run.dir).parent}` completes it")


def _finish(run: Any) -> None:
    try:
        run.finish()
    except Exception as error:  # noqa: BLE001  # as above
        events.warning(f"Weights & Biases was not closed: {_first_line(error)}; the run is on disk")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
