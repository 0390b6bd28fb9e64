"""Time per epoch of mltool's training loop, against a loop written by hand and four well-known trainers.

    python tests/benchmarks/bench_training_step.py [--json OUT] [--quick]

The loop by hand does exactly the same work, as well as one can write it down: tensors in memory, shuffled once an
epoch in the same order, batches that are views, fused AdamW on the same groups, the same cosine schedule, the mean
loss of the epoch. That it is the same work is checked: after training, both hold the same weights to the last bit.
`less work` is as most people write it: without the schedule, the second group and the loss.

The others do less too (no schedule) and are written as their documentation shows, with a `DataLoader` and plain
AdamW; `Lightning at its best` has logging off, fused AdamW and batches cut from memory.

Everything runs on one thread, which mltool itself chooses for networks of this size. Peers that are not installed are
left out: `pip install pytorch-lightning accelerate skorch scikit-learn`.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _harness import Cost, Report, interleave, is_installed, now, ratio, start
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader, TensorDataset

import mltool.datasets
from mltool.modeling.config import TrainConfig
from mltool.modeling.tasks.task import Task
from mltool.modeling.training.feed import MemoryFeed
from mltool.modeling.training.loop import Fit

# Axes: N samples

LR, WEIGHT_DECAY, SEED = 1e-3, 0.01, 0
BY_HAND, MLTOOL, LESS = "loop by hand", "mltool", "loop by hand, less work"


@dataclass(frozen=True)
class Case:
    """A network with its data.

    Attributes:
        epochs: Epochs that a variant trains in one round; the first does not count.
    """

    name: str
    network: nn.Module
    inputs_N: Tensor
    target_N: Tensor
    batch_size: int
    epochs: int

    def copy_of_network(self) -> nn.Module:
        return copy.deepcopy(self.network)

    def batches(self, order_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Views of tensors that are brought into order at once."""
        inputs, targets = (tensor[order_N].split(self.batch_size) for tensor in (self.inputs_N, self.target_N))
        return zip(inputs, targets, strict=True)

    def loader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(self.inputs_N, self.target_N), self.batch_size, shuffle=True)


def mlp_case(batch_size: int, num_rows: int, epochs: int) -> Case:
    torch.manual_seed(SEED)
    network = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    inputs, target = torch.randn(num_rows, 30), torch.randint(0, 2, (num_rows,))
    return Case(f"MLP, {num_rows:,} x 30, batch {batch_size}", network, inputs, target, batch_size, epochs)


def cnn_case(epochs: int) -> Case:
    torch.manual_seed(SEED)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 16, 10),
    )  # fmt: skip
    digits = np.load(Path(mltool.datasets.__file__).parent / "embedded" / "digits.npz")
    inputs = torch.from_numpy(digits["images"][:, None].astype(np.float32) / 255)
    target = torch.from_numpy(digits["labels"].astype(np.int64))
    return Case(f"CNN, {len(inputs):,} digits, batch 64", network, inputs, target, 64, epochs)


class Clock:
    """Ticks when training starts and after every epoch."""

    def __init__(self) -> None:
        self.ticks: list[Cost] = []

    def tick(self) -> None:
        self.ticks.append(now())

    def cost(self) -> Cost:
        """Of an epoch; the first one, which warms up, does not count."""
        (_, first, *_, last), num_epochs = self.ticks, len(self.ticks) - 2
        return (last - first) / num_epochs


def by_hand(case: Case) -> tuple[Cost, nn.Module]:
    network, clock = case.copy_of_network(), Clock()
    weights = list(network.parameters())
    groups = [
        {"params": [p for p in weights if p.dim() > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in weights if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=LR, fused=True)
    num_samples, step = len(case.target_N), 0
    num_steps = case.epochs * -(-num_samples // case.batch_size)
    clock.tick()
    for epoch in range(case.epochs):
        order_N = torch.from_numpy(np.random.default_rng((SEED, epoch)).permutation(num_samples))
        losses, sizes = [], []
        for inputs, target in case.batches(order_N):
            loss = F.cross_entropy(network(inputs), target)
            loss.backward()
            losses.append(loss.detach())
            sizes.append(len(target))
            lr = LR * 0.5 * (1 + math.cos(math.pi * step / num_steps))
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            for weight in weights:
                weight.grad = None
            step += 1
        float(torch.stack(losses).double() @ torch.tensor(sizes, dtype=torch.float64)) / num_samples
        clock.tick()
    return clock.cost(), network


def by_hand_with_less_work(case: Case) -> Cost:
    """One group, no schedule, no loss."""
    network, clock = case.copy_of_network(), Clock()
    optimizer = AdamW(network.parameters(), lr=LR, fused=True)
    clock.tick()
    for _ in range(case.epochs):
        for inputs, target in case.batches(torch.randperm(len(case.target_N))):
            loss = F.cross_entropy(network(inputs), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        clock.tick()
    return clock.cost()


def with_mltool(case: Case, folder: Path) -> tuple[Cost, nn.Module]:
    network, clock = case.copy_of_network(), Clock()
    task = Task("classification", F.cross_entropy, "cross_entropy", "logits", "accuracy")
    config = TrainConfig(
        epochs=case.epochs, batch_size=case.batch_size, lr=LR, weight_decay=WEIGHT_DECAY, warmup=0.0, seed=SEED
    )
    train = MemoryFeed([case.inputs_N], case.target_N)
    nothing = MemoryFeed([case.inputs_N[:0]], case.target_N[:0])
    fit = Fit(network, task, train, nothing, config, folder, on_epoch=lambda metrics: clock.tick())
    clock.tick()
    fit.run()
    return clock.cost(), network


def with_accelerate(case: Case) -> Cost:
    from accelerate import Accelerator

    accelerator, clock = Accelerator(cpu=True), Clock()
    network = case.copy_of_network()
    network, optimizer, loader = accelerator.prepare(network, AdamW(network.parameters(), lr=LR), case.loader())
    clock.tick()
    for _ in range(case.epochs):
        loss_sum = torch.zeros(())
        for inputs, target in loader:
            loss = F.cross_entropy(network(inputs), target)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            loss_sum += loss.detach() * len(target)
        loss_sum.item()
        clock.tick()
    return clock.cost()


def with_skorch(case: Case) -> Cost:
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback

    clock = Clock()

    class Ticks(Callback):  # type: ignore[misc]
        def on_train_begin(self, net: Any, **keywords: Any) -> None:
            clock.tick()

        def on_epoch_end(self, net: Any, **keywords: Any) -> None:
            clock.tick()

    net = NeuralNetClassifier(
        case.copy_of_network(), criterion=nn.CrossEntropyLoss, optimizer=AdamW, lr=LR, batch_size=case.batch_size,
        max_epochs=case.epochs, train_split=None, iterator_train__shuffle=True, verbose=0, callbacks=[Ticks()],
    )  # fmt: skip
    net.fit(case.inputs_N.numpy(), case.target_N.numpy())
    return clock.cost()


def with_lightning(case: Case, *, logging_on: bool, at_its_best: bool = False) -> Cost:
    import pytorch_lightning as pl

    clock = Clock()

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = case.copy_of_network()

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            loss = F.cross_entropy(self.network(batch[0]), batch[1])
            if logging_on:
                self.log("train_loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self) -> AdamW:
            return AdamW(self.parameters(), lr=LR, fused=at_its_best)

    class Ticks(pl.Callback):  # type: ignore[misc]
        def on_train_epoch_start(self, *arguments: Any) -> None:
            clock.tick()

        def on_train_end(self, *arguments: Any) -> None:
            clock.tick()

    off = dict.fromkeys(("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
    with tempfile.TemporaryDirectory() as folder, quiet():
        trainer = pl.Trainer(
            max_epochs=case.epochs, accelerator="cpu", devices=1, callbacks=[Ticks()], default_root_dir=folder,
            **({} if logging_on else off),
        )  # fmt: skip
        trainer.fit(Module(), InMemory(case) if at_its_best else case.loader())
    return clock.cost()


class InMemory:
    """Shuffled batches cut from tensors."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __len__(self) -> int:
        return -(-len(self.case.target_N) // self.case.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.case.batches(torch.randperm(len(self.case.target_N)))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let a progress bar draw, but into nothing."""
    with Path(os.devnull).open("w") as nothing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
            yield


def peers(case: Case, report: Report) -> dict[str, Callable[[], Cost]]:
    everyone: dict[str, tuple[str, Callable[[], Cost]]] = {
        "Lightning, default": ("pytorch_lightning", lambda: with_lightning(case, logging_on=True)),
        "Lightning, logging off": ("pytorch_lightning", lambda: with_lightning(case, logging_on=False)),
        "Lightning at its best": (
            "pytorch_lightning", lambda: with_lightning(case, logging_on=False, at_its_best=True)
        ),
        "accelerate": ("accelerate", lambda: with_accelerate(case)),
        "skorch": ("skorch", lambda: with_skorch(case)),
    }  # fmt: skip
    for name, (module, _) in everyone.items():
        if not is_installed(module) and name not in report.left_out:
            report.without(name, f"`{module}` is not installed")
    return {name: run for name, (module, run) in everyone.items() if is_installed(module)}


def measure(case: Case, rounds: int, report: Report, folder: Path) -> None:
    (_, expected), (_, trained) = by_hand(case), with_mltool(case, folder)
    is_same = all(torch.equal(a, b) for a, b in zip(expected.parameters(), trained.parameters(), strict=True))
    variants: dict[str, Callable[[], Cost]] = {
        BY_HAND: lambda: by_hand(case)[0],
        MLTOOL: lambda: with_mltool(case, folder)[0],
        LESS: lambda: by_hand_with_less_work(case),
        **peers(case, report),
    }
    costs = interleave(variants, rounds)
    report.costs(f"{case.name}: time per epoch", costs, BY_HAND)
    print(f"  same weights as the loop by hand: {'yes, to the last bit' if is_same else 'NO'}")
    report.goal(f"{case.name}: mltool against the loop by hand", ratio(costs, MLTOOL, BY_HAND), at_most=1.05)
    for name in costs:
        if name not in (BY_HAND, MLTOOL, LESS):
            least = 5.0 if name == "Lightning, default" and case.name.startswith("MLP") else 1.0
            report.goal(f"{case.name}: {name} against mltool", ratio(costs, name, MLTOOL), at_least=least)


def main() -> None:
    report = start(__file__, __doc__)
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rounds, num_rows, epochs = (2, 2_000, 2) if report.quick else (15, 10_000, 4)
    with tempfile.TemporaryDirectory() as folder:
        for case in (mlp_case(64, num_rows, epochs), mlp_case(256, num_rows, epochs), cnn_case(epochs)):
            measure(case, rounds, report, Path(folder))
    report.finish()


if __name__ == "__main__":
    main()
