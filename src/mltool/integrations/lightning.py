"""LightningModules, trained by Lightning: their own `training_step` and `configure_optimizers`, on mltool's samples.

A batch is `(inputs, target)`. The inputs are the tensor itself where the network takes one, else a tuple of tensors in
the order of its `forward`. Lightning logs nowhere and writes nowhere but into the folder of the run.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mltool.core import events
from mltool.core.errors import ConfigError, UserCodeError
from mltool.datasets.sampler import Sampler
from mltool.integrations.lightning_course import Course, StoppedError
from mltool.modeling.config import TrainConfig
from mltool.modeling.tasks.losses import NO_LOSS
from mltool.modeling.training import checkpoint, draws
from mltool.modeling.training.feed import Feed
from mltool.modeling.training.loop import Fit
from mltool.modeling.training.stopping import stop_on_interrupt
from mltool.modeling.user_code import user_code

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""The two names of the same library; a module and its trainer must come from the same one."""
_DECIDED_BY_MODULE = ("lr", "optimizer", "weight_decay", "momentum", "schedule", "warmup")
_HARMLESS = (
    r"The '\w+' does not have many workers",  # batches are cut from memory: workers would only slow them
    r"You passed in a `val_dataloader` but have no `validation_step`",  # mltool validates by itself
    r"You defined a `validation_step` but have no `val_dataloader`",  # the data has no such split
    r"`training_step` returned `None`",  # mltool says how often
    r"`LightningModule.configure_optimizers` returned `None`",  # mltool refuses it
    r"GPU available but not used",  # `device=cpu` was asked for
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated",  # of torch, inside Lightning
    r"Found \d+ module\(s\) in eval mode at the start of training",  # what the user froze
)


def trains(network: nn.Module) -> bool:
    """Whether Lightning is to train a network: always, if it is a LightningModule with a `training_step`."""
    return _overrides(network, "training_step")


def _base_of(network: nn.Module) -> Any:
    """The class `LightningModule` that a network descends from, found without importing anything."""
    for kind in type(network).__mro__:
        if kind.__name__ == "LightningModule" and kind.__module__.startswith(PACKAGES):
            return kind
    return None


def _overrides(network: nn.Module, method: str) -> bool:
    base = _base_of(network)
    return base is not None and getattr(type(network), method) is not getattr(base, method)


def check(network: nn.Module, config: TrainConfig, written: Collection[str]) -> None:
    """Refuse what does not go with a module that decides about its own training.

    Args:
        written: The keys that the user wrote.

    Raises:
        ConfigError: The module has no optimizer, or a key has no effect.
    """
    name = type(network).__name__
    if not _overrides(network, "configure_optimizers"):
        raise ConfigError(
            f"`{name}` has a `training_step`, but no `configure_optimizers`",
            hint="add one, or leave `training_step` out: then mltool trains the module's forward",
        )
    for key in _DECIDED_BY_MODULE:
        if f"train.{key}" in written:
            raise ConfigError(
                f"`train.{key}` has no effect on `{name}`, whose own `configure_optimizers` decides it",
                hint=f"leave it out, or give it to the module, as `model.args.{key}=…`",
            )
    if config.processes > 1:
        raise ConfigError(
            f"`train.processes={config.processes}` does not go with `{name}`, which Lightning trains in one process",
            hint="leave it out",
        )
    if not network.automatic_optimization and (config.clip_norm or config.accumulate > 1):
        key = "clip_norm" if config.clip_norm else "accumulate"
        raise ConfigError(
            f"`train.{key}` has no effect on `{name}`, which takes its own steps (`automatic_optimization=False`)",
            hint="leave it out",
        )


def fit(wanted: Fit, *, resume: bool) -> list[dict[str, Any]]:
    """Train a LightningModule to the end, leave its best weights in it, and return the history.

    A run goes on after the last epoch that it completed, bit for bit.

    Raises:
        ConfigError: The config does not fit the data, or there is no optimizer.
        KeyboardInterrupt: Somebody stopped it.
        MltoolError: The loss is no longer finite, or nothing was trained.
        UserCodeError: The user's module raises.
    """
    wanted.check()
    if wanted.task.loss_name == NO_LOSS and len(wanted.validation):
        raise ConfigError(
            "a custom task needs a loss to say which epoch was the best",
            hint="give `task.loss=package.module:function`",
        )
    network, path = wanted.network, wanted.run_folder / checkpoint.LIGHTNING_FILE
    samples = wanted.config.epochs * len(wanted.train)
    with stop_on_interrupt() as stop, _quiet(), events.track("train", samples, "samples") as bar:
        package = importlib.import_module(_package_of(network))
        course = Course(wanted, stop, bar)
        trainer = _trainer(package, wanted, course)
        draws.seed(wanted.config.seed)
        with _explained(wanted, course):
            trainer.fit(
                network,
                train_dataloaders=_train_batches(wanted, lambda: trainer.current_epoch),
                val_dataloaders=_validation_batches(wanted) if len(wanted.validation) else None,
                ckpt_path=str(path) if resume and path.exists() else None,
            )
    if course.best is not None:
        network.load_state_dict(course.best)
    network.trainer = None  # type: ignore[assignment]
    network.to("cpu")
    return course.history


def _package_of(network: nn.Module) -> str:
    return next(name for name in PACKAGES if _base_of(network).__module__.startswith(name))


def _trainer(package: Any, wanted: Fit, course: Course) -> Any:
    config = wanted.config
    return package.Trainer(
        accelerator={"cuda": "gpu"}.get(wanted.device.type, wanted.device.type),
        devices=1,
        max_epochs=config.epochs,
        precision="bf16-mixed" if wanted.bf16 else "32-true",
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip_norm or None,
        callbacks=[_callback(package, course)],
        default_root_dir=str(wanted.run_folder),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _callback(package: Any, course: Course) -> Any:
    """The course as a callback; as a `Checkpoint`, it is the last to be told."""

    class Following(package.callbacks.Checkpoint):  # type: ignore[misc]
        state_key = "mltool"

        def state_dict(self) -> dict[str, Any]:
            return course.state()

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            course.resume(state_dict)

        def on_train_start(self, trainer: Any, module: Any) -> None:
            if any(type(optimizer).__name__ == "_MockOptimizer" for optimizer in trainer.optimizers):
                raise ConfigError(f"`configure_optimizers` of `{type(module).__name__}` returned no optimizer")
            trainer.should_stop = course.is_over

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            course.epoch_begins()

        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            course.lr = optimizer.param_groups[0]["lr"]

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            course.batch_ends(outputs, len(batch[1]))

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            course.epoch_ends(dict(trainer.callback_metrics))
            trainer.should_stop = course.is_over
            path = course.fit.run_folder / checkpoint.LIGHTNING_FILE
            staged = path.with_name(f".{path.name}.tmp")
            trainer.save_checkpoint(staged)
            staged.replace(path)
            course.obey()

    return Following()


class _Batches(Dataset[Any]):
    """A batch at each index, cut from a feed.

    Args:
        order: The rows of an epoch, in the order in which it sees them.
    """

    def __init__(self, feed: Feed, batch_size: int, num_batches: int, order: Callable[[], Any]) -> None:
        self.feed, self.batch_size, self.num_batches, self.order = feed, batch_size, num_batches, order

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        inputs, target_N = self.feed.gather(self.order()[index * self.batch_size : (index + 1) * self.batch_size])
        return (inputs[0] if len(inputs) == 1 else tuple(inputs)), target_N


def _train_batches(wanted: Fit, epoch: Callable[[], int]) -> DataLoader[Any]:
    """Batches of the same samples in the same order as those of mltool's own loop."""
    sampler = Sampler(len(wanted.train), wanted.config.batch_size, wanted.config.seed)
    order = lru_cache(1)(sampler.order)
    return _loader(_Batches(wanted.train, sampler.batch_size, sampler.num_batches, lambda: order(epoch())))


def _validation_batches(wanted: Fit) -> DataLoader[Any]:
    rows_N, size = np.arange(len(wanted.validation)), wanted.config.batch_size
    return _loader(_Batches(wanted.validation, size, -(-len(rows_N) // size), lambda: rows_N))


def _loader(batches: _Batches) -> DataLoader[Any]:
    return DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)  # else tuples become lists


@contextmanager
def _explained(wanted: Fit, course: Course) -> Iterator[None]:
    """Say in one line what ended the training."""
    try:
        with user_code("training"):
            yield
    except UserCodeError as error:
        if isinstance(error.__cause__, StoppedError):
            events.info("stopped; `mltool train --resume` with the same config continues after the last whole epoch")
            raise KeyboardInterrupt from None
        if course.history or course.num_batches:
            raise
        inputs, _ = wanted.train.gather(np.zeros(1, dtype=np.int64))
        what = "a tensor" if len(inputs) == 1 else f"a tuple of {len(inputs)} tensors in the order of `forward`"
        hint = f"a batch is the tuple `(inputs, target)`, whose inputs are {what}"
        raise UserCodeError(error.message, hint=hint) from error.__cause__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's own talk from the user: hardware it did not find, tips, and warnings that are of no use here."""
    loggers = [logging.getLogger(name) for name in (*PACKAGES, "lightning.fabric", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in _HARMLESS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
