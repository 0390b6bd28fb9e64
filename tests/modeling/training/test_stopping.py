"""How a run ends before its time: spoiled numbers, an error of the user's code, Ctrl-C."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fit_testing import batch_hook, make_fit, plain, weights_digest, without_seconds
from torch import Tensor, nn

from mltool.core import events
from mltool.core.errors import MltoolError, UserCodeError
from mltool.modeling.training import checkpoint, loop

# Axes: N samples, C classes


class Poisoned(nn.Module):
    """Is right until a batch, and then does something to the loss or to its gradient."""

    def __init__(self, at_batch: int, how: str) -> None:
        super().__init__()
        self.inner, self.at_batch, self.how, self.count = plain(), at_batch, how, 0

    def forward(self, x: Tensor) -> Tensor:
        logits_NC = self.inner(x)
        self.count += self.training
        if self.training and self.count == self.at_batch:
            if self.how == "loss":
                return logits_NC / torch.zeros(())
            return logits_NC + (logits_NC * 0).sqrt()  # adds 0 to the loss, and an infinite gradient
        return logits_NC


def checkpoint_is_finite(folder: Path) -> bool:
    from safetensors.torch import load_file

    path = folder / "checkpoint.safetensors"
    return all(bool(t.isfinite().all()) for t in load_file(path).values() if t.is_floating_point())


@pytest.mark.parametrize(("at_batch", "epoch", "batch"), [(1, 1, 1), (9, 1, 9), (14, 1, 14), (15, 2, 1), (20, 2, 6)])
def test_a_loss_that_is_no_number_names_its_epoch_and_batch(
    tmp_path: Path, at_batch: int, epoch: int, batch: int
) -> None:
    fit = make_fit(tmp_path, Poisoned(at_batch, "loss"), checkpoint_every_s=0.0)
    with pytest.raises(MltoolError, match=rf"loss became (nan|inf) in epoch {epoch} at batch {batch};") as caught:
        fit.run()
    assert caught.value.exit_code == 1
    assert "`lr=0.0002`" in str(caught.value.hint)
    if epoch == 1:
        assert caught.value.message.endswith("no checkpoint was due yet")
    else:
        assert caught.value.message.endswith("the last good checkpoint is kept")
        assert checkpoint_is_finite(tmp_path)


@pytest.mark.parametrize(("at_batch", "num_validation"), [(14, 0), (14, 40), (28, 0), (28, 40)])
def test_a_last_step_that_spoils_the_weights_is_met_before_anything_is_kept(
    tmp_path: Path, at_batch: int, num_validation: int
) -> None:
    """Its loss is a number, and no later loss would show what its gradient did."""
    fit = make_fit(tmp_path, Poisoned(at_batch, "gradient"), num_validation=num_validation, checkpoint_every_s=100.0)
    epoch = at_batch // 14
    with pytest.raises(MltoolError, match=f"a weight became infinite or NaN in epoch {epoch} at batch 14"):
        fit.run()
    assert not (tmp_path / "checkpoint.safetensors").exists() or checkpoint_is_finite(tmp_path)


def test_the_end_of_an_epoch_writes_a_checkpoint_unless_one_was_just_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {}
    for gap_s in (-1.0, 1000.0):
        monkeypatch.setattr(loop, "_MIN_CHECKPOINT_GAP_S", gap_s)
        fit = make_fit(tmp_path / str(gap_s), checkpoint_every_s=1000.0)
        path, seen = fit.run_folder / checkpoint.FILE, list[bool]()
        with batch_hook(fit.network, lambda number, path=path, seen=seen: seen.append(path.exists())):
            fit.run()
        written[gap_s] = (seen[13], seen[14], path.exists())  # 14 batches an epoch
    assert written == {-1.0: (False, True, True), 1000.0: (False, False, True)}


def test_the_time_between_checkpoints_is_counted_from_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = make_fit(tmp_path, epochs=1, checkpoint_every_s=4.5)
    now, saved_at = [0.0], list[float]()
    save = checkpoint.save
    monkeypatch.setattr(loop, "_MAX_BLOCK_BATCHES", 1)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(checkpoint, "save", lambda *args: (saved_at.append(now[0]), save(*args)))
    with batch_hook(fit.network, lambda number: now.__setitem__(0, float(number))):  # a batch takes a second
        fit.run()
    assert saved_at == [5.0, 10.0, 14.0]


def test_a_checkpoint_within_an_epoch_never_holds_spoiled_weights(tmp_path: Path) -> None:
    # A batch of one sample: 231 batches are several blocks, each with a checkpoint; 128 is the last of the second.
    fit = make_fit(tmp_path, Poisoned(128, "gradient"), batch_size=1, checkpoint_every_s=0.0)
    with pytest.raises(MltoolError, match="a weight became infinite or NaN in epoch 1 at batch 128; the last good"):
        fit.run()
    assert checkpoint_is_finite(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_validation_loss_that_is_no_number_ends_the_run(tmp_path: Path, value: float) -> None:
    fit = make_fit(tmp_path)
    fit.validation.inputs[0][7] = value  # type: ignore[attr-defined]
    with pytest.raises(MltoolError, match=r"the validation loss became nan in epoch 1 at batch 14; no checkpoint"):
        fit.run()


def test_a_learning_rate_that_is_far_too_high_ends_in_one_clear_error(tmp_path: Path) -> None:
    class Cubes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = plain()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) ** 3

    with pytest.raises(MltoolError, match=r"became (nan|inf|infinite or NaN) in epoch \d+ at batch \d+") as caught:
        make_fit(tmp_path, Cubes(), optimizer="sgd", lr=10.0, epochs=30).run()
    assert caught.value.hint == "lower the learning rate, such as `lr=1`, or clip with `clip_norm=1`"


def test_an_error_of_the_users_network_names_its_line(tmp_path: Path) -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = plain()

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                raise IndexError("there is no token 7")
            return self.inner(x)

    with pytest.raises(UserCodeError, match=r"training failed at .*raise IndexError.*there is no token 7"):
        make_fit(tmp_path, Breaks()).run()


def test_ctrl_c_saves_says_how_to_go_on_and_gives_the_signal_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    fit = make_fit(tmp_path)
    said: list[str] = []
    with (
        events.subscribed(lambda event: said.append(event.text) if isinstance(event, events.Message) else None),
        batch_hook(fit.network, lambda number: signal.raise_signal(signal.SIGINT) if number == 5 else None),
        pytest.raises(KeyboardInterrupt),
    ):
        fit.run()
    assert said == ["stopped; `mltool train --resume` with the same config continues here"]
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_ends_at_the_next_batch(tmp_path: Path) -> None:
    fit = make_fit(tmp_path)
    seen: list[int] = []

    def press(number: int) -> None:
        seen.append(number)
        if number == 5:
            signal.raise_signal(signal.SIGINT)

    with batch_hook(fit.network, press), pytest.raises(KeyboardInterrupt):
        fit.run()
    assert seen == [1, 2, 3, 4, 5]


def test_a_second_ctrl_c_does_not_wait_for_the_checkpoint(tmp_path: Path) -> None:
    fit = make_fit(tmp_path)

    def press_twice(number: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with batch_hook(fit.network, press_twice), pytest.raises(KeyboardInterrupt):
        fit.run()
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_ctrl_c_after_the_last_batch_still_stops(tmp_path: Path) -> None:
    fit = make_fit(tmp_path)
    fit.on_epoch = lambda metrics: signal.raise_signal(signal.SIGINT) if metrics["epoch"] == 2 else None
    with pytest.raises(KeyboardInterrupt):
        fit.run()
    resumed, whole = make_fit(tmp_path), make_fit(tmp_path / "whole")
    with batch_hook(resumed.network, lambda number: pytest.fail("trained once more")):
        history = resumed.run(resume=True)
    assert without_seconds(history) == without_seconds(whole.run())
    assert weights_digest(resumed.network) == weights_digest(whole.network)


def test_a_run_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    fit, whole = make_fit(tmp_path), make_fit(tmp_path / "whole")
    thread = threading.Thread(target=fit.run)
    thread.start()
    thread.join()
    whole.run()
    assert weights_digest(fit.network) == weights_digest(whole.network)
