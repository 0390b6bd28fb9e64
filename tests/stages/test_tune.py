"""Searches on small problems whose answer is known, with real trainings and a real journal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tune_testing import NETWORK, SMALL, outline, points, tune

import mltool
from mltool.artifacts.store import open_store
from mltool.cli.app import run
from mltool.core.config.load import load_config
from mltool.core.errors import ConfigError, MltoolError
from mltool.stages.train.config import TrainJob
from user_project import Write, project, said, write

__all__ = ["points", "project", "said", "write"]
pytestmark = pytest.mark.xdist_group("tune")


# What is found ------------------------------------------------------------------------------------------------------


def test_the_first_trial_has_the_defaults_of_the_network_itself(write: Write) -> None:
    write("net.py", NETWORK)
    found = tune(
        trials=2, space={"model.args.width": "2..9", "model.args.blow_up": [False, True]}, model={"target": "net:Net"}
    )
    assert found.trials[0].point == {"model.args.width": 4, "model.args.blow_up": False}
    assert found.before == found.trials[0]


def test_a_search_finds_a_better_learning_rate_than_a_bad_one() -> None:
    found = tune(trials=8, space={"lr": "1e-5..0.3:log"}, metric="loss", train={"lr": 1e-5})
    assert found.before is not None
    assert found.before.point == {"train.lr": 1e-5}
    assert found.trials[0] == found.before
    assert found.best.value is not None
    assert found.before.value is not None
    assert found.best.value < 0.8 * found.before.value
    assert 1e-3 < found.best.point["train.lr"] <= 0.3
    assert found.best.value == min(trial.value or 9.0 for trial in found.trials if trial.outcome == "complete")


def test_the_metric_that_decides_is_maximized_and_equal_trials_are_decided_by_their_loss() -> None:
    found = tune(trials=6, pruner="none")
    assert (found.metric.key, found.metric.minimize) == ("validation_accuracy", False)
    best = max(trial.value or 0.0 for trial in found.trials)
    equals = [trial for trial in found.trials if trial.value == best]
    assert found.best == min(equals, key=lambda trial: trial.loss or 0.0)


def test_what_a_trial_is_judged_by_is_what_its_training_reaches() -> None:
    space = {"lr": "0.5..3.0:log", "model.args.hidden": "32..64"}
    found = tune(trials=2, space=space, metric="loss", train={"epochs": 12, "schedule": "constant"})
    assert run(found.command.split()[1:]) == 0
    history = [json.loads(line) for line in (mltool.load().path / "history.jsonl").read_text().splitlines()]
    losses = [row["validation_loss"] for row in history]
    assert min(losses) == pytest.approx(found.best.value, rel=1e-6)
    assert min(losses) < losses[-1]  # the last epoch is not the best


def test_the_best_config_can_stand_as_it_is_in_the_place_of_the_projects_file(tmp_path: Path) -> None:
    (tmp_path / "mltool.yaml").write_text(
        "version: 1\nname: ours\nmodel:\n  args:\n    hidden: 8\ntrain:\n  epochs: 2\n  threads: 1\n"
        "tune:\n  space:\n    lr: 1e-3..0.1:log\n    model.args.hidden: [4, 8]\n"
    )
    found = mltool.tune("trials=3", "data.source=points.npz")
    assert found.study == "ours-1"
    shutil.copy(found.best_path, tmp_path / "mltool.yaml")
    job = load_config(TrainJob, "train", (), {}, tmp_path)
    point = found.best.point
    assert (job.name, job.train.epochs, job.train.threads) == ("ours", 2, 1)
    assert (job.train.lr, job.model.args) == (point["train.lr"], {"hidden": point["model.args.hidden"]})
    assert job.data.source == "points.npz"
    assert found.command.startswith("mltool train data.source=points.npz lr=")


def test_no_secret_of_the_environment_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "sesame-points")
    shutil.copy("points.npz", "sesame-points.npz")
    found = mltool.tune("data.source=${oc.env:MLTEST_SECRET}.npz", "train.epochs=1", "space.lr=0.01,0.1")
    assert "${oc.env:MLTEST_SECRET}" in found.best_path.read_text()
    for path in found.folder.rglob("*"):
        assert b"sesame" not in path.read_bytes(), path


def test_a_small_space_is_tried_whole_and_each_point_once() -> None:
    found = tune(trials=50, space={"batch_size": [16, 32], "optimizer": ["adamw", "sgd"]}, pruner="none")
    assert found.num_trials == 4
    assert {(t.point["train.batch_size"], t.point["train.optimizer"]) for t in found.trials} == {
        (16, "adamw"), (32, "adamw"), (16, "sgd"), (32, "sgd"),
    }  # fmt: skip


def test_a_point_that_is_drawn_again_is_not_trained_again() -> None:
    found = tune(trials=11, space={"batch_size": "8..19"}, pruner="none", train={"epochs": 1})
    again = [trial for trial in found.trials if trial.reason.startswith("the same as trial ")]
    assert again
    for trial in again:
        first = found.trials[int(trial.reason.split()[-1])]
        assert (trial.point, trial.value, trial.curve) == (first.point, first.value, ())


# The same again -----------------------------------------------------------------------------------------------------


def test_one_process_tries_the_same_with_the_same_seed_and_something_else_with_another() -> None:
    first, second, other = (tune(trials=7, seed=seed) for seed in (3, 3, 4))
    assert outline(first) == outline(second)
    assert [trial.point for trial in other.trials] != [trial.point for trial in first.trials]


def test_a_study_that_was_continued_is_the_same_as_one_that_never_stopped() -> None:
    whole = tune(trials=14, study="whole")
    for trials in (3, 8, 14):
        parts = mltool.tune(**SMALL, trials=trials, study="parts", resume=trials > 3)
    assert outline(parts) == outline(whole)
    assert len({repr(trial.point) for trial in whole.trials}) == 14


def test_pruning_ends_bad_trials_early() -> None:
    space = {"lr": [0.03, 0.02, 0.04, 0.025, 0.035, 1e-6, 2e-6, 0.05]}
    found = tune(trials=8, space=space, metric="loss", train={"epochs": 10, "lr": 0.03})
    pruned = [trial for trial in found.trials if trial.outcome == "pruned"]
    assert {trial.point["train.lr"] for trial in pruned} >= {1e-6, 2e-6}
    assert all(2 <= len(trial.curve) < 10 for trial in pruned)
    assert all(len(trial.curve) == 10 for trial in found.trials if trial.outcome == "complete")
    unpruned = tune(trials=8, space=space, metric="loss", train={"epochs": 10, "lr": 0.03}, pruner="none")
    assert {trial.outcome for trial in unpruned.trials} == {"complete"}
    assert unpruned.best.point == found.best.point


# What goes wrong ----------------------------------------------------------------------------------------------------


def test_a_trial_that_diverges_is_a_row_with_its_reason(write: Write) -> None:
    write("net.py", NETWORK)
    found = tune(trials=3, space={"model.args.blow_up": [False, True]}, model={"target": "net:Net"})
    assert [trial.outcome for trial in found.trials] == ["complete", "failed"]
    assert found.trials[1].value is None
    assert found.trials[1].reason == "the loss became nan in epoch 1 at batch 1"


def test_when_all_trials_fail_the_commonest_reason_is_said(write: Write) -> None:
    write("net.py", NETWORK.replace("self.blow_up and self.training", "self.training"))
    with pytest.raises(MltoolError) as caught:
        tune(trials=3, model={"target": "net:Net"})
    assert caught.value.exit_code == 1
    assert caught.value.message.startswith("none of 3 trials came to an end; ")
    assert "because the loss became nan in epoch 1 at batch " in caught.value.message


def test_an_argument_that_the_network_refuses_fails_its_trial_only(write: Write) -> None:
    write("net.py", NETWORK)
    found = tune(trials=3, space={"model.args.width": [4, 200]}, model={"target": "net:Net"})
    assert found.trials[1].outcome == "failed"
    assert "ValueError: too wide" in found.trials[1].reason


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metric": "acuracy"}, "`tune.metric=acuracy` is no metric of this task"),
        (
            {"space": {"batch_size": [16, 4000]}},
            "`tune.space` has a `train.batch_size` of 4000, but the training split",
        ),
        ({"data": {"source": "points.npz", "validation_fraction": 0}}, "a search needs a validation split to judge by"),
        (
            {"train": {"processes": 2}},
            "`train.processes=2` does not go with a search: each trial trains in one process",
        ),
        ({"study": "../x"}, "`../x` cannot be a name"),
        ({"space": {"model.args.hiden": "1..9"}}, "network `mlp` has no argument `hiden`"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_a_study_is_made(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tune(**values)
    assert caught.value.message.startswith(message)
    assert not open_store().studies.exists()


def test_batches_of_the_default_space_fit_small_data(said: list[str]) -> None:
    found = tune(trials=2, train={"epochs": 1}, pruner="none")
    assert found.space["batch_size"] == "32, 64, 128"
    assert any("the default space" in text for text in said)
