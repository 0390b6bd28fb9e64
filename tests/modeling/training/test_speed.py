from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fit_testing import cnn, make_fit, mlp, plain, weights_digest
from torch import Tensor, nn

from mltool.core import events, host
from mltool.core.errors import ConfigError, UserCodeError
from mltool.modeling.config import TrainConfig
from mltool.modeling.training import speed
from mltool.modeling.training.feed import MemoryFeed
from mltool.modeling.training.speed import (
    as_channels_last,
    check_processes,
    device_for,
    fastest_precision,
    macs_a_sample,
    threads_for,
)


def feed_of(*shape: int) -> MemoryFeed:
    return MemoryFeed([torch.zeros(20, *shape)], torch.zeros(20, dtype=torch.int64))


def test_multiplications_are_those_of_the_layers() -> None:
    assert macs_a_sample(plain(), feed_of(13)) == 13 * 16 + 16 * 3
    assert macs_a_sample(mlp(), feed_of(13)) == 13 * 37 + 37 * 37 + 37 * 3
    convolutions = 36 * 9 * (1 * 9) + 16 * 17 * (9 * 9)
    assert macs_a_sample(cnn(), feed_of(1, 6, 6)) == convolutions + 17 * 16 * 3
    along = nn.Conv1d(2, 5, 3, padding=1)
    assert macs_a_sample(along, feed_of(2, 9)) == 9 * 5 * (2 * 3)
    grouped = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    assert macs_a_sample(grouped, feed_of(8, 4, 4)) == 16 * 8 * 9


def test_counting_leaves_the_network_as_it_was() -> None:
    network = mlp().train()
    before = weights_digest(network)
    macs_a_sample(network, feed_of(13))
    assert network.training
    assert weights_digest(network) == before
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_that_fails_is_the_users_error_and_keeps_no_hooks() -> None:
    network = nn.Sequential(nn.Linear(13, 4), nn.Linear(5, 3))
    with pytest.raises(UserCodeError, match="shapes cannot be multiplied"):
        macs_a_sample(network, feed_of(13))
    assert not any(module._forward_hooks for module in network.modules())


def test_small_networks_get_one_thread_and_large_ones_all_cores() -> None:
    assert threads_for(mlp(), feed_of(13), 64) == 1
    large = nn.Linear(4096, 1024)
    assert threads_for(large, feed_of(4096), 256) == host.num_cores()
    assert threads_for(large, feed_of(4096), 1) == 1


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "num_cores", lambda: 8)
    large = nn.Linear(4096, 4096)
    assert [threads_for(large, feed_of(4096), 256, processes) for processes in (1, 2, 3, 8, 16)] == [8, 4, 2, 1, 1]
    assert threads_for(large, feed_of(4096), 8, 2) == 1  # what each of them has is little


@pytest.mark.parametrize(
    ("processes", "device", "message"),
    [
        (9, "cpu", "`train.processes=9` is more than the samples of a batch, `train.batch_size=8`"),
        (2, "mps", "`train.processes=2` does not go with `mps`"),
        (2, "cuda", "`train.processes=2`, but there are 0 GPUs, and each process needs one"),
    ],
)
def test_processes_that_a_machine_cannot_have_are_refused(
    monkeypatch: pytest.MonkeyPatch, processes: int, device: str, message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=message):
        check_processes(TrainConfig(processes=processes, batch_size=8), torch.device(device))


def test_more_processes_than_cores_are_warned_of() -> None:
    said: list[str] = []
    with events.subscribed(lambda event: said.append(event.text) if isinstance(event, events.Message) else None):
        for processes in (1, host.num_cores(), host.num_cores() + 1):
            check_processes(TrainConfig(processes=processes), torch.device("cpu"))
    assert said == [
        f"`train.processes={host.num_cores() + 1}` share {host.num_cores()} cores, which is slower than one on each"
    ]


def test_a_device_that_is_not_there_is_refused() -> None:
    assert device_for("cpu") == torch.device("cpu")
    assert device_for("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    missing = [
        name for name, module in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if not module.is_available()
    ]
    for name in missing:
        with pytest.raises(ConfigError, match=f"`train.device={name}`: torch .* finds no such device here"):
            device_for(name)


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_the_trial_of_both_precisions_changes_nothing(tmp_path: Path, network: str) -> None:
    fit = make_fit(tmp_path, network)
    before, state = weights_digest(fit.network), torch.get_rng_state()
    decided = fastest_precision(fit.network, fit.task, fit.train, TrainConfig(precision="auto"), threads=1)
    assert isinstance(decided, bool)
    assert weights_digest(fit.network) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == 1
    assert all(weight.grad is None for weight in fit.network.parameters())


def test_a_precision_that_is_given_is_not_tried() -> None:
    class Never(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError

    fit_task = None
    for precision, wanted in (("bf16", True), ("fp32", False)):
        config = TrainConfig(precision=precision)
        assert fastest_precision(Never(), fit_task, feed_of(3), config, 1) is wanted  # type: ignore[arg-type]


def test_the_trial_takes_what_is_clearly_faster(tmp_path: Path) -> None:
    import time

    class Sleeps(nn.Module):
        """A network that is 4 ms slower in one precision: what a processor without that precision looks like."""

        def __init__(self, in_bf16: bool) -> None:
            super().__init__()
            self.inner, self.in_bf16 = plain(), in_bf16

        def forward(self, x: Tensor) -> Tensor:
            answer = self.inner(x)
            if (answer.dtype == torch.bfloat16) == self.in_bf16:
                time.sleep(0.004)
            return answer

    for slow_in_bf16 in (True, False):
        fit = make_fit(tmp_path, Sleeps(slow_in_bf16))
        wanted = not slow_in_bf16
        assert fastest_precision(fit.network, fit.task, fit.train, TrainConfig(precision="auto"), 1) is wanted


@pytest.mark.parametrize(
    ("fp32", "bf16", "wanted"),
    [([1.3], [1.0], True), ([1.1], [1.0], False), ([1.3], [9.0, 1.0], True), ([9.0, 1.1], [1.0], False)],
    ids=["clearly faster", "a little faster", "slow at first", "the other slow at first"],
)
def test_only_what_is_clearly_faster_after_its_first_step_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fp32: list[float], bf16: list[float], wanted: bool
) -> None:
    now = 0.0

    class Ticks(nn.Module):
        """A network whose steps take as long as they are said to, the last of them again and again."""

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.num_steps = plain(), 0

        def forward(self, x: Tensor) -> Tensor:
            nonlocal now
            answer = self.inner(x)
            if self.training:
                seconds = bf16 if answer.dtype == torch.bfloat16 else fp32
                now += seconds[min(self.num_steps, len(seconds) - 1)]
                self.num_steps += 1
            return answer

    fit = make_fit(tmp_path, Ticks())
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: now))
    assert fastest_precision(fit.network, fit.task, fit.train, TrainConfig(precision="auto"), 1) is wanted


def test_the_trial_trains_as_the_run_will_and_gives_the_threads_back(tmp_path: Path) -> None:
    seen = set()

    class Looks(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            answer = self.inner(x)
            is_channels_last = not self.inner[3].weight.is_contiguous()
            seen.add((answer.dtype, self.training, is_channels_last, len(x), torch.get_num_threads()))
            return answer

    fit = make_fit(tmp_path, "cnn")
    config = TrainConfig(precision="auto", batch_size=17)
    fastest_precision(Looks(fit.network), fit.task, fit.train, config, threads=2)
    assert seen == {(torch.float32, True, False, 17, 2), (torch.bfloat16, True, True, 17, 2)}
    assert torch.get_num_threads() == 1


def test_channels_last_weights_give_the_same_answers() -> None:
    network, inputs = cnn().eval(), torch.randn(3, 1, 6, 6)
    expected = network(inputs)
    laid_out = as_channels_last(network)
    assert not laid_out[3].weight.is_contiguous()
    torch.testing.assert_close(laid_out(inputs), expected, rtol=1e-5, atol=1e-6)
