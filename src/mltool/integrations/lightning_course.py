"""How a training by Lightning goes, in the words that every training of mltool has: history, best epoch, progress."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mltool.core import events
from mltool.core.errors import MltoolError
from mltool.datasets.sampler import Sampler
from mltool.modeling.training import draws
from mltool.modeling.training.ending import is_over
from mltool.modeling.training.evaluation import evaluate, validation_metrics
from mltool.modeling.training.loop import Fit

_DRAW_EVERY_S = 0.1
_MAX_PENDING = 256
"""Losses that are looked at together: asking for each one would make a GPU wait."""


class StoppedError(Exception):
    """Leaves Lightning as an error, because Lightning ends the process on a KeyboardInterrupt."""


class Course:
    """Told by Lightning what happens.

    Attributes:
        lr: Of the last step.
        num_without_loss: Batches of this epoch for which `training_step` returned none.
    """

    def __init__(self, fit: Fit, stop: threading.Event, bar: events.Tracker) -> None:
        self.fit, self.config, self.stop, self.bar = fit, fit.config, stop, bar
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] | None = None
        self.best_epoch, self.best_loss = 0, math.inf
        self.lr: float | None = None
        self.batches_an_epoch = Sampler(len(fit.train), self.config.batch_size, self.config.seed).num_batches
        self.epoch_begins()

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside Lightning's own state."""
        kept = ("history", "best", "best_epoch", "best_loss")
        return {**{name: getattr(self, name) for name in kept}, "draws": draws.drawn()}

    def resume(self, state: Mapping[str, Any]) -> None:
        self.history, self.best = state["history"], state["best"]
        self.best_epoch, self.best_loss = state["best_epoch"], state["best_loss"]
        draws.draw_on(state["draws"])
        self.bar.done = len(self.history) * len(self.fit.train)

    @property
    def epoch(self) -> int:
        """The epoch that runs, counted from 1."""
        return len(self.history) + 1

    @property
    def is_over(self) -> bool:
        return is_over(self.config, self.history, self.best_epoch)

    def epoch_begins(self) -> None:
        self.started = self.drawn_at = time.monotonic()
        self.pending: list[Tensor] = []
        self.sizes: list[int] = []
        self.loss_sum, self.num_samples, self.num_batches, self.num_without_loss = 0.0, 0, 0, 0

    def batch_ends(self, outputs: Any, size: int) -> None:
        """Note what `training_step` returned for a batch.

        Raises:
            StoppedError: Somebody asked for it.
        """
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor) and loss.numel() == 1:
            self.pending.append(loss.detach().float().reshape(()))
            self.sizes.append(size)
        else:
            self.num_without_loss += 1
        self.num_batches += 1
        now = time.monotonic()
        if now - self.drawn_at > _DRAW_EVERY_S or len(self.pending) > _MAX_PENDING:
            self._add_losses()
            position = min(len(self.fit.train), self.num_batches * self.config.batch_size)
            self._advance((self.epoch - 1) * len(self.fit.train) + position)
            self.drawn_at = now
        if self.num_batches < self.batches_an_epoch:  # else the epoch is whole, and is kept first
            self.obey()

    def obey(self) -> None:
        if self.stop.is_set():
            raise StoppedError

    def epoch_ends(self, logged: Mapping[str, Any]) -> None:
        """Note what the epoch came to.

        Args:
            logged: What the module logged, by its own names.
        """
        self._add_losses()
        row: dict[str, Any] = {"epoch": self.epoch}
        if self.num_samples:
            row["train_loss"] = self.loss_sum / self.num_samples
        if self.num_without_loss and self.fit.network.automatic_optimization:
            self._miss_losses()
        row |= {} if self.lr is None else {"lr": self.lr}
        row |= self._validate() if len(self.fit.validation) else {}
        row |= {name: value for name, value in _finite(logged).items() if name not in row}
        row["seconds"] = time.monotonic() - self.started
        self.history.append(row)
        self.fit.on_epoch(row)
        self._advance(len(self.history) * len(self.fit.train))

    def _miss_losses(self) -> None:
        step = f"`training_step` of `{type(self.fit.network).__name__}` returned no loss"
        if not self.num_samples:
            raise MltoolError(
                f"{step} in epoch {self.epoch}, so nothing was trained",
                hint='return the loss, or a dictionary that holds it as "loss"',
            )
        if self.epoch == 1:
            events.warning(f"{step} for {self.num_without_loss} of {self.num_batches} batches, which train nothing")

    def _add_losses(self) -> None:
        if not self.pending:
            return
        values = torch.stack(self.pending).tolist()
        for index, value in enumerate(values):
            if not math.isfinite(value):
                batch = self.num_batches - len(values) + index + 1
                raise MltoolError(
                    f"the loss became {value} in epoch {self.epoch} at batch {batch}; {self._kept()}",
                    hint="lower the learning rate in `configure_optimizers`, or clip with `clip_norm=1`",
                )
        self.loss_sum += sum(value * size for value, size in zip(values, self.sizes, strict=True))
        self.num_samples += sum(self.sizes)
        self.pending, self.sizes = [], []

    def _kept(self) -> str:
        return f"epoch {len(self.history)} is kept" if self.history else "no epoch was completed yet"

    def _validate(self) -> dict[str, float]:
        outputs, loss = evaluate(self.fit, self.fit.validation)
        if not math.isfinite(loss):
            raise MltoolError(f"the validation loss became {loss} in epoch {self.epoch}; {self._kept()}")
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = {name: value.detach().clone() for name, value in self.fit.network.state_dict().items()}
        metrics = validation_metrics(self.fit, outputs)
        return {"validation_loss": loss, **{f"validation_{name}": value for name, value in metrics.items()}}

    def _advance(self, done: int) -> None:
        detail = f"epoch {min(self.epoch, self.config.epochs)}/{self.config.epochs}"
        if self.history and "train_loss" in self.history[-1]:
            detail += f", loss {self.history[-1]['train_loss']:.4f}"
        self.bar.advance(done - self.bar.done, detail)


def _finite(logged: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: float(value) for name, value in logged.items()}
    return {name: number for name, number in numbers.items() if math.isfinite(number)}
