"""Robustness ladders of other kinds of models than classifiers of tables, and the story that they are part of."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from robustness_testing import QUICK, copy_of, rungs
from torch import nn

import mltool
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.core.errors import DataError
from mltool.datasets.corrupting import damages_for
from mltool.datasets.layout import parts_of
from mltool.datasets.schema import schema_of
from mltool.runtimes.evaluation import dataset_of
from mltool.runtimes.robustness import robustness_in_words
from small_models import linear_model
from user_project import Write, project, said, write

__all__ = ["project", "said", "write"]
pytestmark = pytest.mark.xdist_group("robustness")


def test_a_regression_loses_r2(write: Write) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 1))
    rows = "".join(f"{a:.5f},{3 * a + 100 + 0.1 * e:.5f}\n" for (a,), e in zip(x, random.normal(size=600), strict=True))
    write("line.csv", "x,y\n" + rows)
    mltool.train("data.source=line.csv", "model.args.hidden=16", epochs=40, lr=0.01, name="line")
    found = mltool.monitor.robustness("line", redraws=5, windows=(10, 50)).ladder
    assert found.metric == "r2"
    assert found.clean > 0.9
    assert {rung.corruption for rung in found.rungs} == {
        "dead_column", "missing_values", "noisy_numbers", "scaled_column", "stale_values", "tilted_column"
    }, "a table of one column has no neighbours"  # fmt: skip
    dead = rungs(found, "dead_column", "x")[-1]
    assert dead.lost == pytest.approx(found.clean, abs=0.1), "a constant explains nothing"
    assert dead.interval is not None
    assert dead.interval[0] < dead.lost < dead.interval[1]


AUTOENCODER = """
    import torch
    from torch import nn

    class Same(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return {"picture": x * self.scale, "bright": (x > 0.5).long().sum((1, 2, 3))}

    def loss(outputs, target):
        return nn.functional.mse_loss(outputs["picture"], target)

    def fidelity(outputs, target):
        return 1.0 - ((outputs["picture"] - target) ** 2).mean() / target.var()
"""


@pytest.mark.parametrize("has_metric", [True, False])
def test_a_custom_task_has_its_own_metric_or_agreement(write: Write, has_metric: bool) -> None:
    write("same.py", AUTOENCODER)
    torch.save({"x": torch.rand(200, 1, 6, 6, generator=torch.Generator().manual_seed(0))}, "x.pt")
    fields = ("data.source=x.pt", "data.fields.inputs=x", "data.fields.labels=x", "model.target=same:Same")
    metric = ("task.metric=same:fidelity",) if has_metric else ()
    mltool.train(*fields, "task.loss=same:loss", *metric, epochs=1, lr=1e-6, name="same")
    found = mltool.monitor.robustness(
        "same", corruptions=("gaussian_noise", "brightness"), redraws=5, windows=(10,)
    ).ladder
    assert found.metric == ("metric" if has_metric else "agreement")
    assert found.clean == pytest.approx(1.0, abs=1e-3)
    lost = [rung.lost for rung in rungs(found, "gaussian_noise")]
    assert lost == sorted(lost)
    assert 0.01 < lost[0] < lost[-1] < 1
    assert {rung.interval for rung in found.rungs} == {None}


def test_a_metric_that_is_no_number_for_damaged_data_costs_one_rung_and_not_the_run(write: Write) -> None:
    metric = """
    def strict(outputs, target):
        error = float(((outputs["picture"] - target) ** 2).mean())
        return 1.0 - error if error < 0.01 else float("nan")

    def never(outputs, target):
        return float("inf")
"""
    write("same.py", AUTOENCODER + metric)
    torch.save({"x": torch.rand(200, 1, 6, 6, generator=torch.Generator().manual_seed(0))}, "x.pt")
    fields = ("data.source=x.pt", "data.fields.inputs=x", "data.fields.labels=x", "model.target=same:Same")
    mltool.train(*fields, "task.loss=same:loss", "task.metric=same:strict", epochs=1, lr=1e-6, name="same")
    result = mltool.monitor.robustness("same", corruptions=("gaussian_noise",), redraws=5, windows=(10,))
    mild, *_, harsh = rungs(result.ladder, "gaussian_noise")
    assert 0 < mild.value < 1
    assert (harsh.value, harsh.lost) == (0.0, result.ladder.clean)
    assert harsh.says.endswith("; metric is no number, so all counts as lost")
    assert "no number" not in mild.says
    assert result.ladder.worst.lost == result.ladder.clean
    json.dumps(result.to_json(), allow_nan=False)

    mltool.train(*fields, "task.loss=same:loss", "task.metric=same:never", epochs=1, lr=1e-6, name="never")
    with pytest.raises(DataError, match=r"`task\.metric` is `inf` for data without any damage"):
        mltool.monitor.robustness("never", corruptions=("gaussian_noise",), redraws=5, windows=(10,))


def test_a_network_of_its_own_with_prepared_pictures_is_damaged_in_its_own_range(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "bright.py",
        """
        import torch
        from torch import nn

        class Bright(nn.Module):
            def forward(self, picture):
                mean = picture.mean((1, 2, 3))
                return nn.functional.log_softmax(30 * torch.stack([-mean, mean], 1), 1)
    """,
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    bright = importlib.import_module("bright").Bright()
    pictures = torch.randn(256, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.5
    pictures += torch.tensor([-0.3, 0.3]).repeat(128)[:, None, None, None]
    mltool.save(bright, pictures, torch.tensor([0, 1]).repeat(128), name="bright")
    some = {"corruptions": ("brightness", "gaussian_blur"), "redraws": 5, "windows": (10, 50)}
    found = mltool.monitor.robustness("bright", **some).ladder
    assert (found.split, found.clean, found.unseen) == ("samples", 1.0, ("picture",))
    blurred, brightened = rungs(found, "gaussian_blur"), rungs(found, "brightness")
    assert blurred[-1].lost == 0, "blur keeps the mean"
    assert brightened[-1].lost == pytest.approx(0.5, abs=0.02), "all of them are bright"
    assert brightened[-1].noticed_after == 10
    assert blurred[-1].noticed_after is None, "the answers stay, and no pictures are logged"
    found = mltool.monitor.robustness("bright", record="all", **some).ladder
    assert found.unseen == ()
    assert rungs(found, "gaussian_blur")[-1].noticed_after == 10


def test_of_many_columns_those_that_matter_are_damaged_one_by_one(store: Store, said: list[str]) -> None:
    module = nn.Sequential(nn.Linear(30, 2, bias=False))
    with torch.no_grad():
        module[0].weight[:] = 0
        module[0].weight[:, 7] = torch.tensor([-9.0, 9.0])
        module[0].weight[:, 20] = torch.tensor([-3.0, 3.0])
    x = torch.randn(200, 30, generator=torch.Generator().manual_seed(0))
    mltool.save(module, x, module(x).argmax(1), name="wide")
    found = mltool.monitor.robustness("wide", columns=2, corruptions=("dead_column",), redraws=5, windows=(10,)).ladder
    assert {rung.column.rpartition("[")[2] for rung in found.rungs} == {"7]", "20]"}
    assert any("of 30 columns, the 2 that matter most are corrupted one by one" in text for text in said)
    assert found.worst.column.endswith("[7]")


# The story ------------------------------------------------------------------------------------------------------------


def test_blurred_digits_cost_accuracy_in_the_ladder_and_drift_alarms_on_them(store: Store, said: list[str]) -> None:
    model = mltool.train("model.args.hidden=8", epochs=8, lr=0.01)
    found = mltool.monitor.robustness("digits", corruptions=("gaussian_blur",), redraws=10).ladder
    sharp, *_, blurred = rungs(found, "gaussian_blur")
    assert found.clean > 0.9
    assert sharp.lost < 0.05 < 0.5 < blurred.lost
    assert blurred in found.harmful
    assert blurred.noticed_after == 10

    test = dataset_of(model, store).split("test")
    inputs, target_N = test.take(slice(100))
    (damage,) = damages_for(parts_of(schema_of(model), schema_of(model).inputs), ["gaussian_blur"], ())
    for name, severity in (("clean.npy", 0), ("blurred.npy", 5)):
        np.save(name, damage.of(inputs, severity, inputs)["image"])
    answers = [int(answer["label"]) for answer in mltool.predict("digits", "input=blurred.npy")]
    assert np.mean(np.array(answers) == target_N) == pytest.approx(blurred.value, abs=0.15)
    assert mltool.monitor.drift("digits", "current=blurred.npy").alarm
    assert not mltool.monitor.drift("digits", "current=clean.npy").alarm

    said.clear()
    plan = mltool.deploy.plan_local("digits")
    assert plan["robustness"] == found.summary
    assert plan["robustness"].startswith("the worst corruption is gaussian blur at severity 5")
    assert mltool.deploy.plan_docker("digits", context_folder="image")["robustness"] == found.summary
    mltool.deploy.docker("digits", context_folder="image")
    assert f"`digits@1`: {found.summary}" in said


def test_a_model_without_a_ladder_says_how_to_get_one(store: Store) -> None:
    linear_model(store)
    assert mltool.deploy.plan_local("linear")["robustness"] == (
        "no robustness ladder yet: `mltool monitor robustness linear@1`"
    )


def test_a_variant_without_a_ladder_shows_that_of_its_float_model(store: Store) -> None:
    linear_model(store)
    summary = mltool.monitor.robustness("linear", **QUICK).ladder.summary
    model = mltool.load("linear")
    parent = Parent("float model", ArtifactKind.model, model.digest, model.ref)
    copy_of(model, store, "small", parents=(parent,), config={**model.config, "scheme": "int8_static"})
    assert robustness_in_words(mltool.load("small"), store) == (
        f"no robustness ladder of its own; of `linear@1`, which it was made from, {summary}"
    )
