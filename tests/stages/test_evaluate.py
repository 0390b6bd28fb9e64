from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mltool
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store, open_store
from mltool.core.errors import ArtifactError, ConfigError, DataError
from mltool.runtimes.evaluation import dataset_of
from mltool.statistics.metrics import classification_metrics
from mltool.verbs import Model

pytestmark = pytest.mark.xdist_group("corn")


@pytest.mark.usefixtures("in_corn")
def test_the_test_split_is_measured_as_the_eager_network_would_be(corn_model: Model, corn: Any) -> None:
    evaluation = mltool.evaluate("corn")
    right = corn.eager_probabilities(corn.images[500:]).argmax(1) == corn.labels[500:].numpy()
    assert (evaluation.model, evaluation.split, evaluation.num_samples) == ("corn@1", "test", 200)
    assert evaluation.metrics["accuracy"] == pytest.approx(right.mean())
    assert dict(evaluation.metrics) == pytest.approx(dict(corn_model.metrics), rel=1e-5)
    assert set(evaluation.intervals) == set(evaluation.metrics)


@pytest.mark.usefixtures("in_corn")
def test_each_split_has_its_own_rows(corn_model: Model) -> None:
    sizes = {split: corn_model.evaluate(split=split).num_samples for split in ("train", "validation", "test")}
    assert sizes == {"train": 425, "validation": 75, "test": 200}
    with pytest.raises(ConfigError, match="`split` must be one of"):
        corn_model.evaluate(split="dev")


@pytest.mark.usefixtures("in_corn")
def test_the_metrics_of_a_split_are_those_of_its_own_rows(corn_model: Model, corn: Any) -> None:
    measured = {}
    for split in ("train", "validation", "test"):
        columns = dataset_of(corn_model, open_store()).split(split)
        (images,) = columns.inputs.values()
        eager = classification_metrics(corn.eager_probabilities(torch.tensor(images)), columns.target)
        measured[split] = dict(corn_model.evaluate(split=split).metrics)
        assert measured[split] == pytest.approx(eager, rel=1e-4)
    assert len({metrics["log_loss"] for metrics in measured.values()}) == 3


@pytest.mark.usefixtures("in_corn")
def test_a_higher_level_of_confidence_widens_the_intervals(corn_model: Model) -> None:
    narrow, wide = (corn_model.evaluate(confidence=level).intervals["accuracy"] for level in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.usefixtures("in_corn")
def test_the_size_of_a_batch_changes_no_metric(corn_model: Model) -> None:
    one, other = (corn_model.evaluate(batch_size=size).metrics for size in (7, 200))
    assert dict(one) == pytest.approx(dict(other), rel=1e-5)


@pytest.mark.usefixtures("in_corn")
def test_an_evaluation_is_plain_json(corn_model: Model) -> None:
    body = json.loads(json.dumps(corn_model.evaluate().to_json()))
    assert list(body) == ["model", "split", "num_samples", "metrics", "intervals", "confidence"]
    low, high = body["intervals"]["accuracy"]
    assert 0 < low < body["metrics"]["accuracy"] < high < 1


@pytest.mark.usefixtures("corn_model")
def test_without_its_dataset_a_model_cannot_be_evaluated(corn_model: Model, store: Store) -> None:
    with pytest.raises(ArtifactError, match="the dataset `data@1` of `corn@1` is not usable") as caught:
        corn_model.evaluate()
    assert "mltool data add" in str(caught.value.hint)


@pytest.mark.usefixtures("project")
def test_a_split_without_rows_is_refused() -> None:
    images = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    np.savez("data.npz", train_inputs=images, train_labels=np.arange(40) % 2)
    options = ("data.validation_fraction=0.2", "data.test_fraction=0", "model.args.hidden=4")
    model = mltool.train("data.source=data.npz", *options, epochs=1, batch_size=8, name="untested")
    assert model.manifest.facts["metrics_split"] == "validation"
    with pytest.raises(DataError, match="has no rows in its split `test`"):
        model.evaluate()
    assert open_store().find("untested", ArtifactKind.model).digest == model.digest


def test_a_metric_behind_a_reference_is_found_again(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "custom.py",
        """
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(64, 64)

            def forward(self, x):
                return self.layer(x.flatten(1)).view_as(x)

        def near(outputs, target):
            return 1.0 - abs(outputs - target).mean()
    """,
    )
    torch.save({"x": torch.rand(90, 1, 8, 8)}, "x.pt")
    monkeypatch.setenv("MLTEST_METRIC", "custom:near")
    fields = ("data.fields.inputs=x", "data.fields.labels=x", "task.loss=mse", "model.target=custom:Net")
    model = mltool.train(
        "data.source=x.pt", *fields, "task.metric=${oc.env:MLTEST_METRIC}", "epochs=1", "batch_size=16"
    )
    assert model.evaluate().metrics["metric"] == pytest.approx(model.metrics["metric"], rel=1e-4)


def test_a_split_without_rows_says_which_other_to_measure(write: Callable[[str, str], Path]) -> None:
    write("t.csv", "a,y\n" + "".join(f"{i % 9},{'pq'[i % 2]}\n" for i in range(80)))
    model = mltool.train("data.source=t.csv", "data.test_fraction=0", "epochs=1", "batch_size=16")
    with pytest.raises(DataError, match="no rows in its split `test`") as caught:
        model.evaluate()
    assert caught.value.hint == "measure another, such as `split=validation`"
    assert model.evaluate(split="validation").num_samples > 0
