"""The training loop: batches are slices of a block that is gathered at once, and nothing else is in the way."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mltool.core import events
from mltool.core.errors import ConfigError, MltoolError
from mltool.datasets.sampler import Block, Sampler
from mltool.modeling.config import TrainConfig
from mltool.modeling.tasks.task import Task
from mltool.modeling.training import checkpoint
from mltool.modeling.training.feed import Feed, aligned, on_device
from mltool.modeling.training.optimizer import lean_step, make_optimizer
from mltool.modeling.training.schedule import learning_rate
from mltool.modeling.user_code import user_code
from mltool.runtimes.runner import Whole

# Axes: N samples

_BLOCK_BYTES = 4 << 20
"""Samples gathered at once: enough to make gathering cheap, little enough to stay in the cache."""
_MAX_BLOCK_BATCHES = 64
_PROGRESS_EVERY_S = 0.1
_EVALUATION_ROWS = 1024
_MIN_CHECKPOINT_GAP_S = 1.0

OnEpoch = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Fit:
    """One run of the loop; `run` leaves the best weights in the network.

    Attributes:
        run_folder: Where the checkpoint is kept.
        on_epoch: Called with the metrics of every epoch that ends.
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

    def run(self, *, resume: bool = False) -> list[dict[str, Any]]:
        """Train to the end and return the history, one dictionary an epoch.

        Raises:
            ConfigError: A batch is larger than the data, or early stopping has no validation split to look at.
            MltoolError: The loss or a weight is no longer finite.
            UserCodeError: The user's network or loss raises.
            KeyboardInterrupt: Somebody stopped it; the checkpoint is written.
        """
        return _Loop(self).run(resume=resume)


class _Loop:
    def __init__(self, fit: Fit) -> None:
        self.fit, self.config = fit, fit.config
        if self.config.batch_size > len(fit.train):
            raise ConfigError(
                f"`train.batch_size={self.config.batch_size}` is larger than the training split, "
                f"which has {len(fit.train)} samples",
                hint=f"use `batch_size={max(1, len(fit.train) // 8)}`, or more data",
            )
        if self.config.patience and not len(fit.validation):
            raise ConfigError(
                f"`train.patience={self.config.patience}` needs a validation split, but this data has none",
                hint="give `data.validation_fraction=0.15`, or `patience=0`",
            )
        self.network = fit.network.to(fit.device)
        self.optimizer = make_optimizer(
            self.network,
            self.config.optimizer,
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            momentum=self.config.momentum,
        )
        self.sampler = Sampler(len(fit.train), self.config.batch_size, self.config.seed)
        steps_an_epoch = -(-self.sampler.num_batches // self.config.accumulate)
        self.lr_at = learning_rate(
            self.config.lr,
            self.config.schedule,
            num_steps=steps_an_epoch * self.config.epochs,
            warmup=self.config.warmup,
        )
        self.weights = [p for p in self.network.parameters() if p.requires_grad]
        self.checkpoint_path = fit.run_folder / checkpoint.FILE
        self.progress = checkpoint.Progress()
        self.best: dict[str, Tensor] | None = None
        self.block_batches = self._batches_a_block()
        self.saved_at = self.drawn_at = time.monotonic()

    def _batches_a_block(self) -> int:
        batch_bytes = self.config.batch_size * _sample_bytes(self.fit.train)
        return max(1, min(_MAX_BLOCK_BATCHES, _BLOCK_BYTES // batch_bytes))

    def run(self, *, resume: bool) -> list[dict[str, Any]]:
        if resume and self.checkpoint_path.exists():
            self.progress, self.best = checkpoint.load(self.checkpoint_path, self.network, self.optimizer)
        else:
            torch.manual_seed(self.config.seed)
        samples = self.config.epochs * len(self.fit.train)
        with events.track("train", samples, "samples") as bar, _stop_on_interrupt() as stop:
            bar.done = self.progress.epoch * len(self.fit.train) + self.progress.position
            while self.progress.epoch < self.config.epochs and not self._is_out_of_patience():
                self._epoch(bar, stop)
        if self.best is not None:
            self.network.load_state_dict(self.best)
        self.network.to("cpu")
        return self.progress.history

    def _is_out_of_patience(self) -> bool:
        patience = self.config.patience
        return bool(patience) and self.progress.epoch - self.progress.best_epoch >= patience

    def _epoch(self, bar: events.Tracker, stop: threading.Event) -> None:
        started, progress = time.monotonic() - self.progress.seconds, self.progress
        self.network.train()
        for block in self.sampler.blocks(progress.epoch, start=progress.position, num_batches=self.block_batches):
            self._block(block, stop)
            now = time.monotonic()
            progress.seconds = now - started
            self._obey(stop)
            if now - self.drawn_at > _PROGRESS_EVERY_S:
                done = progress.epoch * len(self.fit.train) + progress.position
                bar.advance(done - bar.done, self._detail())
                self.drawn_at = now
            if now - self.saved_at > self.config.checkpoint_every_s:
                self._save()
        self._end_epoch(started)
        bar.advance(progress.epoch * len(self.fit.train) - bar.done, self._detail())
        self._obey(stop)

    def _obey(self, stop: threading.Event) -> None:
        if stop.is_set():
            self._save()
            events.info("stopped; `mltool train --resume` with the same config continues here")
            raise KeyboardInterrupt

    def _block(self, block: Block, stop: threading.Event) -> None:
        """Train on the batches of a block; every line in the inner loop costs time on each step."""
        config, progress, weights, optimizer = self.config, self.progress, self.weights, self.optimizer
        network, loss_of, lr_at, step = self.network, self.fit.task.loss, self.lr_at, lean_step(self.optimizer)
        accumulate, clip_norm = config.accumulate, config.clip_norm
        autocast = self._autocast()
        inputs, target_N = on_device(self.fit.train.gather(block.rows_N), self.fit.device)
        columns = [map(aligned, tensor.split(block.batch_sizes)) for tensor in (*inputs, target_N)]
        last_position = min(len(self.fit.train), self.sampler.num_batches * config.batch_size)
        group_size = accumulate * config.batch_size
        losses: list[Tensor] = []
        sizes: list[int] = []
        with user_code("training"):
            for *batch, batch_target_N in zip(*columns, strict=True):
                with autocast:
                    loss = loss_of(network(*batch), batch_target_N)
                if accumulate > 1:  # the mean over all samples of the step, whose last batches may be smaller
                    group_start = progress.position - progress.position % group_size
                    (loss * (len(batch_target_N) / min(group_size, last_position - group_start))).backward()
                else:
                    loss.backward()
                losses.append(loss.detach())
                sizes.append(len(batch_target_N))
                progress.position = min(last_position, progress.position + config.batch_size)
                if progress.position % group_size == 0 or progress.position >= last_position:
                    if clip_norm:
                        nn.utils.clip_grad_norm_(weights, clip_norm)
                    lr = lr_at(progress.step)
                    for group in optimizer.param_groups:
                        group["lr"] = lr
                    step()
                    for weight in weights:
                        weight.grad = None
                    progress.step += 1
                if stop.is_set():
                    break
        self._add_losses(losses, sizes)

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self.fit.bf16:
            return nullcontext()
        return torch.autocast(self.fit.device.type, dtype=torch.bfloat16)

    def _add_losses(self, losses: list[Tensor], sizes: list[int]) -> None:
        """Add up the losses of a block, before anything that came after them is kept.

        Raises:
            MltoolError: A loss is not finite.
        """
        values = torch.stack(losses).tolist()
        for index, value in enumerate(values):
            if not math.isfinite(value):
                raise self._diverged(f"the loss became {value}", num_batches_ago=len(values) - index - 1)
        self.progress.loss_sum += sum(value * size for value, size in zip(values, sizes, strict=True))

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
        row["seconds"] = time.monotonic() - started
        progress.seconds = 0.0
        progress.history.append(row)
        self.fit.on_epoch(row)
        is_last = progress.epoch == self.config.epochs or self._is_out_of_patience()
        if is_last or time.monotonic() - self.saved_at > _MIN_CHECKPOINT_GAP_S:
            self._save()

    def _validate(self) -> dict[str, float]:
        """Loss and metrics on the validation split.

        Raises:
            MltoolError: The loss is not finite.
        """
        outputs, loss = evaluate(self.fit, self.fit.validation, self._autocast())
        mean, std = self.fit.target_scale
        target_N = self.fit.validation.target
        target = (target_N * std + mean if target_N.is_floating_point() else target_N).numpy()
        if not math.isfinite(loss):
            raise self._diverged(f"the validation loss became {loss}")
        metrics = self.fit.task.metrics(outputs, target)
        metrics.pop("log_loss", None)  # it is the loss once more
        return {"validation_loss": loss, **{f"validation_{name}": value for name, value in metrics.items()}}

    def _save(self) -> None:
        if self.progress.position:  # at the end of an epoch they were checked already
            self._check_weights()
        checkpoint.save(self.checkpoint_path, self.network, self.optimizer, self.best, self.progress)
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


def _sample_bytes(feed: Feed) -> int:
    inputs, _ = feed.gather(np.zeros(1, dtype=np.int64))
    return max(1, sum(tensor.nbytes for tensor in inputs))


def evaluate(
    fit: Fit, feed: Feed, autocast: AbstractContextManager[Any] | None = None
) -> tuple[dict[str, np.ndarray], float]:
    """The named outputs of a network for all samples of a feed, and the mean loss."""
    network, task = fit.network, fit.task
    was_training = network.training
    network.eval()
    head = task.head(fit.target_scale).to(fit.device)
    outputs, loss_sum = Whole(len(feed)), 0.0
    batch_rows = max(fit.config.batch_size, min(_EVALUATION_ROWS, _BLOCK_BYTES // _sample_bytes(feed)))
    with torch.no_grad(), user_code("the network's forward"), autocast or nullcontext():
        for start in range(0, len(feed), batch_rows):
            rows_N = np.arange(start, min(len(feed), start + batch_rows))
            inputs, target_N = on_device(feed.gather(rows_N), fit.device)
            answer = network(*inputs)
            loss_sum += float(task.loss(answer, target_N)) * len(rows_N)
            outputs.write(start, {name: value.float().cpu().numpy() for name, value in head(answer).items()})
    network.train(was_training)
    return outputs.arrays, loss_sum / len(feed)


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a flag, so that no step is cut in half; the second one ends it at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(signum: int, frame: object) -> None:
        stop.set()
        put_back()

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        put_back()
