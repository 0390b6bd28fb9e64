from __future__ import annotations

import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fit_testing import batch_hook, class_feed, copies, make_fit, mlp, plain, weights_digest
from torch import Tensor, nn

from mltool.core import events
from mltool.core.errors import ConfigError
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.modeling.config import TaskConfig, TrainConfig
from mltool.modeling.tasks.task import make_task
from mltool.modeling.training import loop
from mltool.modeling.training.evaluation import evaluate
from mltool.modeling.training.feed import MemoryFeed
from mltool.modeling.training.loop import Fit

# Axes: N samples, C classes


def by_hand(fit: Fit) -> tuple[nn.Module, list[float]]:
    """The same run in the plainest words: cosine with warm-up, shuffled batches; weights and losses."""
    config, network = fit.config, fit.network
    matrices = [p for p in network.parameters() if p.dim() > 1]
    vectors = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer: torch.optim.Optimizer
    if config.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    else:
        optimizer = torch.optim.AdamW(groups, lr=config.lr, fused=True)
    network.train()
    torch.manual_seed(config.seed)
    (inputs_NF,), target_N = fit.train.gather(np.arange(len(fit.train)))
    steps_an_epoch = math.ceil(len(fit.train) / config.batch_size)
    num_steps = steps_an_epoch * config.epochs
    num_warmup = round(num_steps * config.warmup)
    step, means = 0, []
    for epoch in range(config.epochs):
        order_N = torch.from_numpy(np.random.default_rng((config.seed, epoch)).permutation(len(fit.train)))
        losses = []
        for rows_N in order_N.split(config.batch_size):
            progress = (step - num_warmup) / (num_steps - num_warmup)
            lr = config.lr * (
                (step + 1) / (num_warmup + 1) if step < num_warmup else 0.5 * (1 + math.cos(math.pi * progress))
            )
            for group in optimizer.param_groups:
                group["lr"] = lr
            loss = F.cross_entropy(network(inputs_NF[rows_N]), target_N[rows_N])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += [loss.item()] * len(rows_N)
            step += 1
        means.append(sum(losses) / len(losses))
    return network, means


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_loop_does_what_a_hand_written_one_does(tmp_path: Path, optimizer: str) -> None:
    knobs: dict[str, Any] = {"num_validation": 0, "epochs": 3, "warmup": 0.2, "optimizer": optimizer, "seed": 4}
    fit = make_fit(tmp_path, mlp().eval(), **knobs)  # the mode it comes in does not matter
    history = fit.run()
    network, means = by_hand(make_fit(tmp_path, mlp(), **knobs))
    assert weights_digest(fit.network) == weights_digest(network)
    assert [row["train_loss"] for row in history] == pytest.approx(means)


@pytest.mark.parametrize("network", ["plain", "mlp", "cnn"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path, network: str) -> None:
    digests = []
    for state, seed in ((1, 0), (2, 0), (1, 5)):
        fit = make_fit(tmp_path, network, seed=seed)
        torch.manual_seed(state)  # whatever ran before does not matter
        fit.run()
        digests.append(weights_digest(fit.network))
    assert digests[0] == digests[1] != digests[2]


def test_the_seed_decides_what_dropout_drops(tmp_path: Path) -> None:
    class Drops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.masks = plain(), list[list[float]]()

        def forward(self, x: Tensor) -> Tensor:
            mask = F.dropout(torch.ones(9), training=self.training)
            self.masks.append(mask.tolist())
            return self.inner(x) * mask.sum()

    masks = []
    for seed in (0, 0, 5):
        network = Drops()
        make_fit(tmp_path, network, seed=seed, num_validation=0).run()
        masks.append(network.masks[1:])  # the first says what the network answers, before the run
    assert masks[0] == masks[1] != masks[2]
    assert masks[0][0] != masks[2][0]


def test_every_epoch_is_reported_with_its_metrics(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    history = make_fit(tmp_path, epochs=4, lr=0.02, on_epoch=heard.append).run()
    assert history == heard
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["validation_accuracy"] > 0.5
    assert set(history[0]) >= {"epoch", "train_loss", "lr", "validation_loss", "validation_accuracy", "seconds"}
    assert "validation_log_loss" not in history[0]  # it is the loss once more
    assert all(row["seconds"] > 0 for row in history)


def test_the_seconds_of_an_epoch_are_its_own(tmp_path: Path) -> None:
    fit = make_fit(tmp_path, epochs=20)
    started = time.monotonic()
    history = fit.run()
    assert sum(row["seconds"] for row in history) <= time.monotonic() - started


def test_the_learning_rate_of_an_epoch_is_that_of_its_last_step(tmp_path: Path) -> None:
    history = make_fit(tmp_path, epochs=3, schedule="linear", warmup=0.0, lr=0.01).run()  # 14 steps an epoch
    assert [row["lr"] for row in history] == pytest.approx([0.01 * (1 - step / 42) for step in (13, 27, 41)])


def test_the_loss_of_an_epoch_is_the_mean_over_the_samples_it_saw(tmp_path: Path) -> None:
    fit = make_fit(tmp_path, num_rows=35, epochs=1, lr=1e-30)  # so small that no weight moves
    (inputs,), target_N = fit.train.gather(np.random.default_rng((0, 0)).permutation(35)[:34])  # 17, 17 and not 1
    expected = F.cross_entropy(fit.network(inputs), target_N).item()
    assert fit.run()[0]["train_loss"] == pytest.approx(expected, rel=1e-6)


def test_numbers_are_measured_in_the_unit_of_the_target(tmp_path: Path) -> None:
    network, (mean, std) = nn.Linear(13, 1), (50.0, 20.0)
    inputs = torch.randn(60, 13, generator=torch.Generator().manual_seed(0))
    feed = MemoryFeed([inputs], inputs[:, 0] + 0.5)  # on the scale of the network
    schema = Schema((Column("x", "tensor"),), (TensorSpec("x", "float32", (13,)),), Target("y", "number"))
    task = make_task(TaskConfig(), schema, network(inputs))
    fit = Fit(network, task, feed, feed, TrainConfig(epochs=1, batch_size=20), tmp_path, target_scale=(mean, std))
    (row,) = fit.run()
    with torch.no_grad():
        gaps = (network(inputs)[:, 0] - feed.target).abs() * std
    assert row["validation_mae"] == pytest.approx(float(gaps.mean()), rel=1e-5)


def test_progress_ends_with_all_samples_and_the_last_metrics(tmp_path: Path) -> None:
    heard: list[events.Progress] = []
    with events.subscribed(lambda event: heard.append(event) if isinstance(event, events.Progress) else None):
        make_fit(tmp_path, epochs=2).run()
    assert (heard[0].task, heard[0].done, heard[0].total, heard[0].unit) == ("train", 0, 462, "samples")
    assert (heard[-1].done, heard[-1].finished) == (462, True)
    assert "epoch 2/2, loss" in heard[-2].detail
    assert [event.done for event in heard] == sorted(event.done for event in heard)


def test_progress_names_the_epoch_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_PROGRESS_EVERY_S", -1.0)
    monkeypatch.setattr(loop, "_MAX_BLOCK_BATCHES", 7)  # of 14 an epoch
    heard: list[str] = []
    with events.subscribed(lambda event: heard.append(event.detail) if isinstance(event, events.Progress) else None):
        history = make_fit(tmp_path, epochs=2).run()
    first, second = (
        f"epoch 2/2, loss {row['train_loss']:.4f}, validation accuracy {row['validation_accuracy']:.4f}"
        for row in history
    )
    assert [detail for detail in heard if detail] == ["epoch 1/2"] * 2 + [first] * 3 + [second]


def test_every_batch_lies_at_an_address_like_that_of_a_whole_tensor(tmp_path: Path) -> None:
    """17 rows of 13 numbers are no multiple of what matrix products are aligned to."""
    fit = make_fit(tmp_path, num_validation=0)
    places = []
    fit.network.register_forward_pre_hook(lambda module, inputs: places.append(inputs[0].data_ptr() % 64))
    fit.run()
    assert places == [0] * 28


def test_a_last_batch_of_one_sample_does_not_break_batch_norm(tmp_path: Path) -> None:
    fit = make_fit(tmp_path, "mlp", num_rows=35)
    assert len(fit.run()) == 2


def test_a_batch_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"`train\.batch_size=64` is larger than the training split, which has 40"
    ) as e:
        make_fit(tmp_path, num_rows=40, batch_size=64).run()
    assert e.value.hint == "use `batch_size=5`, or more data"
    with pytest.raises(ConfigError) as e:
        make_fit(tmp_path, num_rows=5, batch_size=6).run()
    assert e.value.hint == "use `batch_size=1`, or more data"
    assert len(make_fit(tmp_path, num_rows=40, batch_size=40).run()) == 2


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("num_rows", [240, 231, 250])
def test_accumulated_batches_are_one_larger_batch(tmp_path: Path, optimizer: str, num_rows: int) -> None:
    """231 ends in a group of two whole batches and one of 15, 250 in a batch of 10 alone."""
    small = make_fit(tmp_path / "a", num_rows=num_rows, batch_size=24, accumulate=3, optimizer=optimizer, lr=0.01)
    large = make_fit(tmp_path / "b", num_rows=num_rows, batch_size=72, optimizer=optimizer, lr=0.01)
    history, expected = small.run(), large.run()
    for name, value in large.network.state_dict().items():
        torch.testing.assert_close(small.network.state_dict()[name], value, atol=1e-6, rtol=0)
    assert [row["lr"] for row in history] == [row["lr"] for row in expected]
    assert history[-1]["train_loss"] == pytest.approx(expected[-1]["train_loss"], abs=1e-6)


def test_a_step_is_clipped_to_the_norm(tmp_path: Path) -> None:
    knobs: dict[str, Any] = {"epochs": 1, "batch_size": 231, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}
    moved = {}
    for clip_norm in (0.0, 1e-3, 1e3):
        fit = make_fit(tmp_path, clip_norm=clip_norm, lr=1.0, schedule="constant", warmup=0.0, **knobs)
        before = copies(fit.network)
        fit.run()
        gaps = [(fit.network.state_dict()[name] - value).norm() for name, value in before.items()]
        moved[clip_norm] = float(torch.stack(gaps).norm())
    assert moved[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert moved[0.0] == moved[1e3] > 0.05


def test_the_best_epoch_is_what_is_left_in_the_network(tmp_path: Path) -> None:
    snapshots: list[dict[str, Tensor]] = []
    fit = make_fit(tmp_path, "mlp", learnable=False, epochs=12, lr=0.02)
    fit.on_epoch = lambda metrics: snapshots.append(copies(fit.network))
    losses = [row["validation_loss"] for row in fit.run()]
    best = int(np.argmin(losses))
    assert 0 <= best < 11  # the data are noise: later epochs learn it by heart
    for name, value in fit.network.state_dict().items():
        assert torch.equal(value, snapshots[best][name]), name
    outputs, loss = evaluate(fit, fit.validation)
    assert loss == losses[best]
    assert outputs["probabilities"].shape == (40, 3)


def test_early_stopping_waits_its_patience_and_takes_the_best_epoch(tmp_path: Path) -> None:
    snapshots: list[str] = []
    fit = make_fit(tmp_path, "mlp", learnable=False, epochs=40, lr=0.02, patience=3)
    fit.on_epoch = lambda metrics: snapshots.append(weights_digest(fit.network))
    losses = [row["validation_loss"] for row in fit.run()]
    assert len(losses) == int(np.argmin(losses)) + 1 + 3 < 40
    assert weights_digest(fit.network) == snapshots[int(np.argmin(losses))]
    # The same run without patience goes through the same epochs.
    assert (
        losses
        == [
            row["validation_loss"] for row in make_fit(tmp_path / "b", "mlp", learnable=False, epochs=40, lr=0.02).run()
        ][: len(losses)]
    )


def test_no_epoch_begins_once_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    fit = make_fit(tmp_path, epochs=50, max_time_s=100.0)
    with batch_hook(fit.network, lambda number: now.__setitem__(0, float(number * 3))):  # 14 batches an epoch
        history = fit.run()
    assert len(history) == 3  # 42 s each
    again = make_fit(tmp_path, epochs=50, max_time_s=100.0)
    with batch_hook(again.network, lambda number: pytest.fail("trained once more")):
        assert again.run(resume=True) == history


def test_an_epoch_that_is_only_as_good_is_no_progress(tmp_path: Path) -> None:
    history = make_fit(tmp_path, epochs=20, patience=3, lr=1e-30).run()  # so small that no weight moves
    assert len({row["validation_loss"] for row in history}) == 1
    assert len(history) == 1 + 3


def test_without_a_validation_split_the_last_epoch_counts_and_patience_is_refused(tmp_path: Path) -> None:
    fit = make_fit(tmp_path, num_validation=0)
    last: list[str] = []
    fit.on_epoch = lambda metrics: last.append(weights_digest(fit.network))
    assert all("validation_loss" not in row for row in fit.run())
    assert weights_digest(fit.network) == last[-1]
    with pytest.raises(ConfigError, match=r"`train\.patience=2` needs a validation split"):
        make_fit(tmp_path, num_validation=0, patience=2).run()


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_bfloat16_trains_with_float32_weights(tmp_path: Path, network: str) -> None:
    fit, full = (make_fit(tmp_path / str(bf16), network, bf16=bf16, epochs=6, lr=0.01) for bf16 in (True, False))
    seen: set[torch.dtype] = set()
    handle = fit.network.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    history, expected = fit.run(), full.run()
    handle.remove()
    assert seen == {torch.bfloat16}
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]
    assert history[-1]["train_loss"] == pytest.approx(expected[-1]["train_loss"], rel=0.2)
    assert {value.dtype for value in fit.network.state_dict().values()} <= {torch.float32, torch.int64}


def test_frozen_weights_stay_as_they_are(tmp_path: Path) -> None:
    network = plain()
    first = next(network.parameters())
    first.requires_grad_(False)
    before = first.detach().clone()
    make_fit(tmp_path, network, clip_norm=1.0).run()
    assert torch.equal(first, before)


def test_evaluation_is_the_mean_over_samples_whatever_the_chunks_and_leaves_the_mode(tmp_path: Path) -> None:
    fit = make_fit(tmp_path, "mlp")
    fit.network.train()
    feed = class_feed(1500, (13,), seed=9)  # two chunks of different sizes
    outputs, loss = evaluate(fit, feed)
    assert fit.network.training
    fit.network.eval()
    with torch.no_grad():
        logits_NC = fit.network(feed.inputs[0])
    np.testing.assert_allclose(outputs["logits"], logits_NC.numpy(), atol=1e-5)
    assert loss == pytest.approx(float(F.cross_entropy(logits_NC, feed.target)), abs=1e-6)
