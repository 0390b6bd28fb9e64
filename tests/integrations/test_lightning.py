from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning_testing import Heard, fit_of, module, weights, without_seconds
from torch import Tensor, nn

import mltool
from mltool.core import events
from mltool.core.errors import ConfigError, MltoolError, UserCodeError
from mltool.datasets.sampler import Sampler
from mltool.integrations import lightning
from mltool.modeling.config import TrainConfig
from mltool.modeling.tasks.losses import NO_LOSS
from mltool.modeling.training.feed import MemoryFeed
from user_project import Write

# Axes: N samples

BOTH = pytest.mark.parametrize("package", lightning.PACKAGES)


@BOTH
def test_the_modules_own_step_and_optimizer_train_it_on_the_batches_of_mltools_loop(
    tmp_path: Path, package: str
) -> None:
    network = module(package)
    assert lightning.trains(network)
    fit = fit_of(tmp_path, network)
    network.eval()  # the mode it comes in does not matter
    history = lightning.fit(fit, resume=False)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["validation_accuracy"] > 0.6
    assert [row["lr"] for row in history] == pytest.approx([0.02, 0.016, 0.0128])
    seen_N = torch.cat([target_N for _, target_N in network.batches])
    order_N = np.concatenate([Sampler(121, 20, seed=0).order(epoch)[:120] for epoch in range(3)])
    assert torch.equal(seen_N, fit.train.target[torch.from_numpy(order_N)])
    assert type(network.batches[0]) is tuple
    assert list(tmp_path.iterdir()) == [tmp_path / "checkpoint.ckpt"]


def test_without_a_step_of_its_own_it_is_a_network_like_any_other() -> None:
    assert not lightning.trains(module(training_step=LightningModule.training_step))
    assert not lightning.trains(nn.Linear(2, 2))


def test_several_inputs_come_as_a_tuple_in_the_order_of_forward(tmp_path: Path) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Tensor:
        (first, second), target_N = batch
        return F.cross_entropy(self(first, second), target_N)

    network = module(training_step=training_step, forward=lambda self, a, b: self.layers(torch.cat([a, b], 1)))
    fit = fit_of(tmp_path, network, epochs=1)
    for samples in (fit.train, fit.validation):
        assert isinstance(samples, MemoryFeed)
        samples.inputs = [samples.inputs[0][:, :2], samples.inputs[0][:, 2:]]
    assert len(lightning.fit(fit, resume=False)) == 1


def test_what_a_module_logs_is_kept_beside_mltools_own_metrics(tmp_path: Path) -> None:
    def validation_step(self: Any, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.cross_entropy(self(batch[0]), batch[1]))
        self.log("nothing", torch.tensor(torch.nan))

    def configure_optimizers(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}

    own = {"validation_step": validation_step, "configure_optimizers": configure_optimizers}
    own["on_train_epoch_end"] = lambda self: self.log("at_the_end", 1.0)
    history = lightning.fit(fit_of(tmp_path, module(**own)), resume=False)
    assert [row["val_loss"] for row in history] == pytest.approx([row["validation_loss"] for row in history], rel=1e-5)
    assert {row["at_the_end"] for row in history} == {1.0}
    assert "nothing" not in history[0]


def test_the_best_epoch_is_what_is_left_and_patience_ends_the_run(tmp_path: Path) -> None:
    fit = fit_of(tmp_path, module(), epochs=60, patience=2)
    fit.validation.target[:] = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(0))
    snapshots: list[Any] = []
    fit.on_epoch = lambda metrics: snapshots.append(weights(fit.network))
    history = lightning.fit(fit, resume=False)
    best = int(np.argmin([row["validation_loss"] for row in history]))
    assert len(history) == best + 1 + 2 < 60
    assert weights(fit.network) == snapshots[best]
    again = fit_of(tmp_path, module(training_step=lambda *batch: pytest.fail("trained once more")), patience=2)
    assert lightning.fit(again, resume=True) == history
    assert weights(again.network) == snapshots[best]


def test_no_epoch_begins_once_the_time_is_up(tmp_path: Path) -> None:
    assert len(lightning.fit(fit_of(tmp_path, module(), epochs=50, max_time_s=1e-6), resume=False)) == 1


@pytest.mark.parametrize("stop_at", [2, 8, 12, 18])
def test_a_run_that_was_stopped_goes_on_after_its_last_whole_epoch_with_the_same_bits(
    tmp_path: Path, stop_at: int
) -> None:
    whole = fit_of(tmp_path / "whole", module())
    expected = without_seconds(lightning.fit(whole, resume=False))

    def training_step(self: Any, batch: Any, batch_idx: int) -> Tensor:
        self.batches.append(batch)
        if len(self.batches) == stop_at:
            signal.raise_signal(signal.SIGINT)
        return F.cross_entropy(self(batch[0]), batch[1])

    heard, before = Heard(), signal.getsignal(signal.SIGINT)
    stopped = fit_of(tmp_path / "stopped", module(training_step=training_step))
    with events.subscribed(heard), pytest.raises(KeyboardInterrupt):
        lightning.fit(stopped, resume=False)
    assert heard.said == ["stopped; `mltool train --resume` with the same config continues after the last whole epoch"]
    assert signal.getsignal(signal.SIGINT) is before
    assert len(stopped.network.batches) == stop_at
    resumed = fit_of(tmp_path / "stopped", module())
    torch.manual_seed(stop_at)  # another process, another state
    assert without_seconds(lightning.fit(resumed, resume=True)) == expected
    assert weights(resumed.network) == weights(whole.network)
    assert len(resumed.network.batches) == 18 - stop_at // 6 * 6


def test_progress_counts_samples_and_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    heard = Heard()
    with events.subscribed(heard):
        lightning.fit(fit_of(tmp_path, module()), resume=False)
    assert (heard.progress[0].task, heard.progress[0].total) == ("train", 363)
    assert (heard.progress[-1].done, heard.progress[-1].finished) == (363, True)
    assert "epoch 3/3, loss" in heard.progress[-2].detail
    assert capfd.readouterr() == ("", "")


def test_a_module_that_takes_its_own_steps_is_trained(tmp_path: Path) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        loss = F.cross_entropy(self(batch[0]), batch[1])
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    network = module(training_step=training_step)
    network.automatic_optimization = False
    history = lightning.fit(fit_of(tmp_path, network, epochs=6), resume=False)
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
    assert "train_loss" not in history[0]
    with pytest.raises(ConfigError, match=r"`train\.clip_norm` has no effect on `LitNet`, which takes its own steps"):
        lightning.check(network, TrainConfig(clip_norm=1.0), ())


@pytest.mark.parametrize(("missing", "expected"), [({0, 3}, "2 of 6 batches"), (set(range(6)), None)])
def test_a_step_that_returns_no_loss_is_said_and_a_whole_epoch_of_them_is_an_error(
    tmp_path: Path, missing: set[int], expected: str | None
) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        return None if batch_idx in missing else F.cross_entropy(self(batch[0]), batch[1])

    heard, fit = Heard(), fit_of(tmp_path, module(training_step=training_step))
    with events.subscribed(heard):
        if expected is None:
            with pytest.raises(MltoolError, match="returned no loss in epoch 1, so nothing was trained"):
                lightning.fit(fit, resume=False)
        else:
            lightning.fit(fit, resume=False)
            assert heard.said == [f"`training_step` of `LitNet` returned no loss for {expected}, which train nothing"]


def test_a_batch_of_another_form_is_explained_and_names_the_users_line(tmp_path: Path) -> None:
    fit = fit_of(tmp_path, module(training_step=lambda self, batch, batch_idx: batch["x"].sum()))
    with pytest.raises(UserCodeError, match=r"training failed.*TypeError: tuple indices must be integers") as caught:
        lightning.fit(fit, resume=False)
    assert "test_lightning.py" in caught.value.message
    assert caught.value.hint == "a batch is the tuple `(inputs, target)`, whose inputs are a tensor"


def test_a_loss_that_is_no_number_names_its_epoch_and_batch(tmp_path: Path) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Tensor:
        return self(batch[0]).sum() / (batch_idx != 3)

    with pytest.raises(MltoolError, match=r"the loss became -?inf in epoch 1 at batch 4; no epoch was completed yet"):
        lightning.fit(fit_of(tmp_path, module(training_step=training_step)), resume=False)
    assert list(tmp_path.iterdir()) == []


def test_a_module_without_an_optimizer_is_refused(tmp_path: Path) -> None:
    missing = module(configure_optimizers=LightningModule.configure_optimizers)
    with pytest.raises(ConfigError, match="`LitNet` has a `training_step`, but no `configure_optimizers`"):
        lightning.check(missing, TrainConfig(), ())
    with pytest.raises(ConfigError, match="`configure_optimizers` of `LitNet` returned no optimizer"):
        lightning.fit(fit_of(tmp_path, module(configure_optimizers=lambda self: None)), resume=False)


@pytest.mark.parametrize("key", ["train.lr", "train.schedule"])
def test_a_key_that_has_no_effect_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"`{key}` has no effect on `LitNet`"):
        lightning.check(module(), TrainConfig(), {key: key})
    with pytest.raises(ConfigError, match=r"`train.processes=2` does not go with `LitNet`"):
        lightning.check(module(), TrainConfig(processes=2), ())


def test_knobs_that_are_lightnings_too_reach_it(tmp_path: Path) -> None:
    seen: list[Any] = []

    def on_before_optimizer_step(self: Any, optimizer: Any) -> None:
        seen.append(self.trainer)

    def training_step(self: Any, batch: Any, batch_idx: int) -> Tensor:
        output = self(batch[0])
        seen.append(output.dtype)
        return F.cross_entropy(output, batch[1])

    own = {"on_before_optimizer_step": on_before_optimizer_step, "training_step": training_step}
    fit = fit_of(tmp_path, module(**own), accumulate=4, clip_norm=0.5, epochs=1)
    fit.bf16 = True
    lightning.fit(fit, resume=False)
    steps = [one for one in seen if not isinstance(one, torch.dtype)]
    assert len(steps) == 2  # of 4 batches, and of the 2 that are left
    assert steps[0].gradient_clip_val == 0.5
    assert {one for one in seen if isinstance(one, torch.dtype)} == {torch.bfloat16}


LIT = """
    import torch
    import torch.nn.functional as F
    from torch import nn

    import {package} as pl

    class LitNet(pl.LightningModule):
        def __init__(self, width=16):
            super().__init__()
            self.save_hyperparameters()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

        def forward(self, image):
            return self.layers(image)

        def training_step(self, batch, batch_idx):
            image, target = batch
            return F.cross_entropy(self(image), target)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.01)
"""


@BOTH
def test_a_lightning_module_becomes_a_model_like_any_other(write: Write, project: Path, package: str) -> None:
    write("lit.py", LIT.format(package=package))
    model = mltool.train("model.target=lit:LitNet", "data.source=digits", "epochs=2", "model.args.width=24")
    assert {check.status for check in model.checks} == {"passed"}
    assert model.metrics["accuracy"] > 0.7
    assert model.manifest.facts["trainer"] == "lightning"
    assert model.predict(np.zeros((1, 8, 8), np.uint8))[0]["label"] in "0123456789"
    assert sorted(path.name for path in project.iterdir() if path.name != "__pycache__") == [".mltool", "lit.py"]
    (run,) = (project / ".mltool/runs").iterdir()
    assert sorted(path.name for path in run.iterdir()) == [".lock", "history.jsonl", "run.json"]
    again = mltool.train(
        "model.target=lit:LitNet", "data.source=digits", "epochs=2", "model.args.width=24", resume=True
    )
    assert again.digest == model.digest


def test_a_config_that_does_not_fit_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`train\.patience=2` needs a validation split"):
        lightning.fit(fit_of(tmp_path, module(), num_validation=0, patience=2), resume=False)
    with pytest.raises(ConfigError, match=r"`train\.batch_size=500` is larger than the training split"):
        lightning.fit(fit_of(tmp_path, module(), batch_size=500), resume=False)
    custom = fit_of(tmp_path, module())
    custom.task = dataclasses.replace(custom.task, loss_name=NO_LOSS)
    with pytest.raises(ConfigError, match="a custom task needs a loss to say which epoch was the best"):
        lightning.fit(custom, resume=False)


def test_without_the_extra_one_line_says_what_to_install(write: Write) -> None:
    write("lit.py", LIT.format(package="lightning.pytorch"))
    code = (
        "import sys; sys.modules['lightning'] = None; from mltool.cli.app import run;"
        "sys.exit(run(['train', 'model.target=lit:LitNet', 'data.source=digits']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: importing `lit` failed at lit.py:5 (`import lightning.pytorch as pl`): " in done.stderr
    assert 'hint: `pip install "mltool[lightning]"` brings it' in done.stderr
    assert "Traceback" not in done.stderr
