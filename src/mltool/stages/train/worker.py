"""One of several processes that train a network: `python -m torch.distributed.run … --module` runs this file."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mltool.artifacts.disk import explained_disk_errors
from mltool.core import events
from mltool.core.errors import MltoolError
from mltool.modeling.training.feed import MEMORY_SHARE
from mltool.modeling.training.loop import Fit
from mltool.modeling.training.ranks import Group
from mltool.modeling.training.setup import build, prepare, scales_target
from mltool.modeling.training.speed import as_channels_last
from mltool.stages.train.order import Lines, Order, call_home, send

Say = Callable[[dict[str, Any]], None]


def main() -> int:
    rank, stop = int(os.environ["RANK"]), threading.Event()
    # A wish to stop comes from the parent; a signal that reaches everybody means the same.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, frame: stop.set())
    home, word = call_home()
    lines, lock = Lines(home), threading.Lock()

    def say(message: dict[str, Any]) -> None:
        with lock:
            send(home, message)

    say({"rank": rank, "word": word})
    order = _order(lines, stop)
    threading.Thread(target=_obey, args=(lines, stop), daemon=True).start()
    try:
        _fit(order, rank, stop, say if rank == 0 else lambda message: None)
        say({"end": "done"})
    except KeyboardInterrupt:
        say({"end": "stopped"})
    except MltoolError as error:
        say({"end": "error", "kind": type(error).__name__, "message": error.message, "hint": error.hint})
        return 1
    except Exception as error:  # our bug: the parent says so
        what = f"mltool failed unexpectedly: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        say({"end": "error", "kind": "MltoolError", "message": what, "hint": "see what was printed"})
        raise
    return 0


def _order(lines: Lines, stop: threading.Event) -> Order:
    """What is to be trained; a wish to stop may have come along with it."""
    while True:
        messages = lines.read()
        if messages is None:
            raise SystemExit(1)
        if messages:
            order, *more = messages
            if more:
                stop.set()
            return Order(**order["order"])


def _obey(lines: Lines, stop: threading.Event) -> None:
    """Stop when the parent says so; end at once when it is gone, however it went."""
    while True:
        messages = lines.read()
        if messages is None:
            os._exit(1)
        if messages:
            stop.set()


def _fit(order: Order, rank: int, stop: threading.Event, say: Say) -> None:
    torch.set_num_threads(order.threads)
    device = torch.device(order.device, rank) if order.device == "cuda" else torch.device(order.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    model, task, config = order.configs()
    folder = Path(order.run_folder)
    with explained_disk_errors(folder.parent.parent):
        memory_share = MEMORY_SHARE / config.processes
        scale_target = scales_target(model, task)
        prepared = prepare(order.opened(), scale_target=scale_target, memory_share=memory_share)
        network, made_task = build(model, task, config, prepared)
        network = as_channels_last(network) if order.bf16 else network
        fit = Fit(
            network, made_task, prepared.train, prepared.validation, config, folder, prepared.scale,
            lambda metrics: say({"epoch": metrics}), order.bf16, device, Group(),
        )  # fmt: skip
        with events.subscribed(lambda event: say(_as_message(event))):
            fit.run(resume=order.resume, stop=stop)
    dist.barrier()
    dist.destroy_process_group()


def _as_message(event: events.Event) -> dict[str, Any]:
    return {"said" if isinstance(event, events.Message) else "progress": asdict(event)}


if __name__ == "__main__":
    raise SystemExit(main())
