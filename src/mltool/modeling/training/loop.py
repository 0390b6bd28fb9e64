"""The training loop: batches are slices of a block that is gathered at once, and nothing else is in the way."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from mltool.core import events
from mltool.core.errors import ConfigError, MltoolError
from mltool.datasets.sampler import Block, Sampler
from mltool.modeling.config import TrainConfig
from mltool.modeling.tasks.task import Task
from mltool.modeling.training import checkpoint, draws
from mltool.modeling.training.ending import is_over
from mltool.modeling.training.evaluation import evaluate, sample_bytes, validation_metrics
from mltool.modeling.training.feed import Feed, aligned, on_device
from mltool.modeling.training.optimizer import lean_step, make_optimizer
from mltool.modeling.training.ranks import Alone, Ranks
from mltool.modeling.training.schedule import learning_rate
from mltool.modeling.training.stopping import stop_on_interrupt
from mltool.modeling.user_code import user_code

# Axes: N samples

_BLOCK_BYTES = 4 << 20
"""Samples gathered at once: enough to make gathering cheap, little enough to stay in the cache."""
_MAX_BLOCK_BATCHES = 64
_PROGRESS_EVERY_S = 0.1
_MIN_CHECKPOINT_GAP_S = 1.0

OnEpoch = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Fit:
    """One run of the loop; `run` leaves the best weights in the network.

    Attributes:
        run_folder: Where the checkpoint is kept.
        on_epoch: Called with the metrics of every epoch that ends.
        ranks: The processes that train it together, of which this is one.
    """

    network: nn.Module
    task: Task
    train: Feed
    validation: Feed
    config: TrainConfig
    run_folder: Path
    target_scale: tuple[float, float] = (0.0, 1.0)
    on_epoch: OnEpoch = field(default=lambda metrics: None)
    bf16: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    ranks: Ranks = field(default_factory=Alone)

    def run(self, *, resume: bool = False, stop: threading.Event | None = None) -> list[dict[str, Any]]:
        """Train to the end and return the history, one dictionary an epoch.

        Args:
            stop: Set by whoever wants it to stop; by default that is Ctrl-C or SIGTERM.

        Raises:
            ConfigError: A batch is larger than the data, or early stopping has no validation split to look at.
            MltoolError: The loss or a weight is no longer finite.
            UserCodeError: The user's network or loss raises.
            KeyboardInterrupt: Somebody stopped it; the checkpoint is written.
        """
        loop = _Loop(self)
        with nullcontext(stop) if stop else stop_on_interrupt() as asked:
            return loop.run(asked, resume=resume)

    def check(self) -> None:
        """Refuse a config that does not fit the data.

        Raises:
            ConfigError: A batch is larger than the data, or early stopping has no validation split to look at.
        """
        batch_size, patience, num_samples = self.config.batch_size, self.config.patience, len(self.train)
        if batch_size > num_samples:
            raise ConfigError(
                f"`train.batch_size={batch_size}` is larger than the training split, which has {num_samples} samples",
                hint=f"use `batch_size={max(1, num_samples // 8)}`, or more data",
            )
        if patience and not len(self.validation):
            raise ConfigError(
                f"`train.patience={patience}` needs a validation split, but this data has none",
                hint="give `data.validation_fraction=0.15`, or `patience=0`",
            )

    def run_elsewhere(self, train: Callable[[], object]) -> list[dict[str, Any]]:
        """Have others train it to the end, and do what `run` does after that.

        Args:
            train: Returns when the last checkpoint of the run is in the run folder.
        """
        loop = _Loop(self)
        train()
        loop.load()
        return loop.ended()


class _Loop:
    def __init__(self, fit: Fit) -> None:
        self.fit, self.config = fit, fit.config
        fit.check()
        self.network = fit.network.to(fit.device)
        self.optimizer = make_optimizer(
            self.network,
            self.config.optimizer,
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            momentum=self.config.momentum,
        )
        self.ranks = fit.ranks
        self.sampler = Sampler(
            len(fit.train), self.config.batch_size, self.config.seed, self.ranks.rank, self.ranks.size
        )
        steps_an_epoch = -(-self.sampler.num_batches // self.config.accumulate)
        self.lr_at = learning_rate(
            self.config.lr,
            self.config.schedule,
            num_steps=steps_an_epoch * self.config.epochs,
            warmup=self.config.warmup,
        )
        self.weights = [p for p in self.network.parameters() if p.requires_grad]
        self.step_samples = self.config.accumulate * self.config.batch_size
        self.last_position = min(len(fit.train), self.sampler.num_batches * self.config.batch_size)
        self.no_loss = torch.zeros((), device=fit.device)
        self.checkpoint_path = fit.run_folder / checkpoint.FILE
        self.progress = checkpoint.Progress()
        self.best: dict[str, Tensor] | None = None
        self.block_batches = self._batches_a_block()
        self.saved_at = self.drawn_at = time.monotonic()

    def _batches_a_block(self) -> int:
        """As many as fit, but so that the end of a step is the end of a block now and then: there, it can be saved."""
        batch_bytes = -(-self.config.batch_size // self.ranks.size) * sample_bytes(self.fit.train)
        most, accumulate = max(1, min(_MAX_BLOCK_BATCHES, _BLOCK_BYTES // batch_bytes)), self.config.accumulate
        if accumulate <= most:
            return most - most % accumulate
        return next(number for number in range(most, 0, -1) if accumulate % number == 0)

    def load(self) -> None:
        """Go on where the checkpoint is."""
        self.progress, self.best = checkpoint.load(self.checkpoint_path, self.network, self.optimizer, self.ranks.rank)

    def run(self, stop: threading.Event, *, resume: bool) -> list[dict[str, Any]]:
        draws.seed(self.config.seed, self.ranks.rank)
        if resume and self.checkpoint_path.exists():
            self.load()
        self.ranks.begin(self.network)
        samples = self.config.epochs * len(self.fit.train)
        with events.track("train", samples, "samples") as bar:
            bar.done = self.progress.epoch * len(self.fit.train) + self.progress.position
            while not self._is_over():
                self._epoch(bar, stop)
        return self.ended()

    def ended(self) -> list[dict[str, Any]]:
        """Put the best weights into the network, and return the history."""
        if self.best is not None:
            self.network.load_state_dict(self.best)
        self.network.to("cpu")
        return self.progress.history

    def _is_over(self) -> bool:
        return is_over(self.config, self.progress.history, self.progress.best_epoch)

    def _epoch(self, bar: events.Tracker, stop: threading.Event) -> None:
        started, progress = time.monotonic() - self.progress.seconds, self.progress
        self.network.train()
        for block in self.sampler.blocks(progress.epoch, start=progress.position, num_batches=self.block_batches):
            losses = self._block(block, stop)
            now = time.monotonic()
            progress.seconds = now - started
            # Only the clock of the first rank counts: all must save at the same step.
            is_due = self.ranks.rank == 0 and now - self.saved_at > self.config.checkpoint_every_s
            *totals, num_stopping, num_due = self.ranks.sums([*losses, stop.is_set(), is_due])
            self._add_losses(totals)
            if now - self.drawn_at > _PROGRESS_EVERY_S:
                done = progress.epoch * len(self.fit.train) + progress.position
                bar.advance(done - bar.done, self._detail())
                self.drawn_at = now
            if self._is_between_steps():
                if num_stopping:
                    self._stop()
                if num_due:
                    self._save()
        self._end_epoch(started)
        bar.advance(progress.epoch * len(self.fit.train) - bar.done, self._detail())
        if any(self.ranks.sums([stop.is_set()])):
            self._stop()

    def _stop(self) -> NoReturn:
        self._save()
        events.info("stopped; `mltool train --resume` with the same config continues here")
        raise KeyboardInterrupt

    def _is_between_steps(self) -> bool:
        return self.progress.position % self.step_samples == 0 or self.progress.position >= self.last_position

    def _block(self, block: Block, stop: threading.Event) -> list[float]:
        """Train on the batches of a block; every line in the inner loop costs time on each step.

        Returns:
            The sum of the losses of this rank's samples, batch by batch.
        """
        config, progress, weights, optimizer = self.config, self.progress, self.weights, self.optimizer
        network, loss_of, lr_at, step = self.network, self.fit.task.loss, self.lr_at, lean_step(self.optimizer)
        last_position, step_samples, join = self.last_position, self.step_samples, self.ranks.join
        is_part = config.accumulate > 1 or self.ranks.size > 1
        autocast = self._autocast()
        inputs, target_N = on_device(self.fit.train.gather(block.rows_N), self.fit.device)
        columns = [map(aligned, tensor.split(block.batch_sizes)) for tensor in (*inputs, target_N)]
        losses: list[Tensor] = []
        with user_code("training"):
            for *batch, batch_target_N in zip(*columns, strict=True):
                start = progress.position
                progress.position = end = min(last_position, start + config.batch_size)
                size = len(batch_target_N)
                if size:
                    with autocast:
                        loss = loss_of(network(*batch), batch_target_N)
                    losses.append(loss.detach())
                    if is_part:  # of a step, whose loss is the mean over the samples of all its batches and ranks
                        begin = start - start % step_samples
                        loss = loss * (size / (min(begin + step_samples, last_position) - begin))
                    loss.backward()
                else:  # the last batch of an epoch may be smaller than there are ranks
                    losses.append(self.no_loss)
                if end % step_samples == 0 or end >= last_position:
                    is_stopping = join(size / (end - start), stop.is_set())
                    if config.clip_norm:
                        nn.utils.clip_grad_norm_(weights, config.clip_norm)
                    lr = lr_at(progress.step)
                    for group in optimizer.param_groups:
                        group["lr"] = lr
                    step()
                    for weight in weights:
                        weight.grad = None
                    progress.step += 1
                    if is_stopping:
                        break
        return [value * size for value, size in zip(torch.stack(losses).tolist(), block.batch_sizes, strict=False)]

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self.fit.bf16:
            return nullcontext()
        return torch.autocast(self.fit.device.type, dtype=torch.bfloat16)

    def _add_losses(self, totals: list[float]) -> None:
        """Add up the losses of a block, before anything that came after them is kept.

        Raises:
            MltoolError: A loss is not finite.
        """
        for index, total in enumerate(totals):
            if not math.isfinite(total):
                raise self._diverged(f"the loss became {total}", num_batches_ago=len(totals) - index - 1)
        self.progress.loss_sum += sum(totals)

    def _diverged(self, what: str, num_batches_ago: int = 0) -> MltoolError:
        batch = -(-self.progress.position // self.config.batch_size) - num_batches_ago
        kept = "the last good checkpoint is kept" if self.checkpoint_path.exists() else "no checkpoint was due yet"
        return MltoolError(
            f"{what} in epoch {self.progress.epoch + 1} at batch {batch}; {kept}",
            hint=f"lower the learning rate, such as `lr={self.config.lr / 10:g}`, or clip with `clip_norm=1`",
        )

    def _check_weights(self) -> None:
        """Refuse weights that the last step spoiled: no loss has shown it yet.

        Raises:
            MltoolError: A weight is not finite.
        """
        if not all(bool(torch.isfinite(weight).all()) for weight in self.weights):
            raise self._diverged("a weight became infinite or NaN")

    def _end_epoch(self, started: float) -> None:
        progress = self.progress
        self._check_weights()
        row: dict[str, Any] = {
            "epoch": progress.epoch + 1,
            "train_loss": progress.loss_sum / progress.position,
            "lr": self.lr_at(max(0, progress.step - 1)),
        }
        if len(self.fit.validation):
            row |= self._validate()
        progress.epoch, progress.position, progress.loss_sum = progress.epoch + 1, 0, 0.0
        loss = row.get("validation_loss")
        if loss is not None and (progress.best_loss is None or loss < progress.best_loss):
            progress.best_loss, progress.best_epoch = loss, progress.epoch
            self.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        row["seconds"] = self.ranks.from_first(lambda: time.monotonic() - started)
        progress.seconds = 0.0
        progress.history.append(row)
        self.fit.on_epoch(row)
        is_due = self.ranks.rank == 0 and time.monotonic() - self.saved_at > _MIN_CHECKPOINT_GAP_S
        if any(self.ranks.sums([self._is_over() or is_due])):
            self._save()

    def _validate(self) -> dict[str, float]:
        """Loss and metrics on the validation split.

        Raises:
            MltoolError: The loss is not finite.
        """
        fit = self.fit
        outputs, loss = evaluate(fit, fit.validation, self._autocast())
        if not math.isfinite(loss):
            raise self._diverged(f"the validation loss became {loss}")
        metrics = self.ranks.from_first(lambda: validation_metrics(fit, outputs))
        return {"validation_loss": loss, **{f"validation_{name}": value for name, value in metrics.items()}}

    def _save(self) -> None:
        if self.progress.position:  # at the end of an epoch they were checked already
            self._check_weights()
        states = [state.decode() for state in self.ranks.gather(draws.drawn().encode())]
        if self.ranks.rank == 0:
            checkpoint.save(self.checkpoint_path, self.network, self.optimizer, self.best, self.progress, states)
        self.saved_at = time.monotonic()

    def _detail(self) -> str:
        progress = self.progress
        parts = [f"epoch {min(progress.epoch + 1, self.config.epochs)}/{self.config.epochs}"]
        if progress.history:
            last = progress.history[-1]
            parts.append(f"loss {last['train_loss']:.4f}")
            value = last.get(f"validation_{self.fit.task.main_metric}")
            if value is not None:
                parts.append(f"validation {self.fit.task.main_metric} {value:.4f}")
        return ", ".join(parts)
