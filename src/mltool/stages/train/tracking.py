"""Where the metrics of a run go: always a local JSONL, and Weights & Biases when a project is given."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from mltool.artifacts.writing import write_text
from mltool.modeling.config import TrainConfig
from mltool.modeling.packaging.package import HISTORY
from mltool.stages.train.run import Run

OnEpoch = Callable[[dict[str, Any]], None]


@contextmanager
def trackers(config: TrainConfig, run: Run, stored: dict[str, Any], *, resume: bool) -> Iterator[OnEpoch]:
    """A function to call with the metrics of every epoch; everything is closed when the block ends."""
    with ExitStack() as stack:
        sinks: list[OnEpoch] = [_jsonl(run)]
        if config.wandb_project is not None:
            from mltool.integrations.wandb import tracking

            session = tracking(config.wandb_project, config.wandb_mode, run.id, run.folder, stored, resume=resume)
            sinks.append(stack.enter_context(session))

        def on_epoch(metrics: dict[str, Any]) -> None:
            for sink in sinks:
                sink(metrics)

        yield on_epoch


def _jsonl(run: Run) -> OnEpoch:
    path = run.folder / HISTORY

    def write(metrics: dict[str, Any]) -> None:
        # A resumed run repeats epochs after its checkpoint: their lines are replaced, not doubled.
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _epoch_of(line) < metrics["epoch"]]
        if len(kept) < len(lines):
            write_text(path, "".join(f"{line}\n" for line in kept))
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(metrics) + "\n")

    return write


def _epoch_of(line: str) -> float:
    """The epoch of a line; later than all for the half of a line that a killed run left."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return math.inf
