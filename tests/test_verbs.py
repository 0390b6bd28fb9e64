from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mltool
from mltool.artifacts.checks import CheckStatus
from mltool.core.errors import ArtifactError, ConfigError, UserCodeError
from mltool.datasets.schema import schema_of
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.statistics.reference import Reference
from user_project import Write, project, write

__all__ = ["project", "write"]
pytestmark = pytest.mark.xdist_group("verbs")


def passed(model: mltool.Model) -> bool:
    return not any(check.status is CheckStatus.failed for check in model.checks)


# The embedded digits: the first thing that anybody runs --------------------------------------------------------------


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> mltool.Model:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("digits"))
        return mltool.train("model.args.hidden=8", epochs=8, lr=0.01)


@pytest.fixture
def at_digits(digits: mltool.Model, monkeypatch: pytest.MonkeyPatch) -> mltool.Model:
    monkeypatch.chdir(digits.path.parents[2])
    return digits


def test_training_without_any_argument_makes_a_model_of_the_digits(digits: mltool.Model) -> None:
    assert digits.ref == "digits@1"
    assert digits.metrics["accuracy"] > 0.9
    assert {check.status for check in digits.checks} == {CheckStatus.passed}
    assert [json.loads(line)["epoch"] for line in (digits.path / "history.jsonl").read_text().splitlines()] == [
        *range(1, 9)
    ]


def test_a_model_is_loaded_by_any_of_its_names(at_digits: mltool.Model) -> None:
    for ref in ("latest", "digits", "digits@1", at_digits.digest[:12], str(at_digits.path)):
        assert mltool.load(ref).digest == at_digits.digest
    assert mltool.load().ref == "digits@1"
    with pytest.raises(ArtifactError, match="there is no model `digit`"):
        mltool.load("digit")


def test_the_verbs_and_the_methods_of_a_model_are_the_same(at_digits: mltool.Model) -> None:
    images = Samples.load(at_digits.path / SAMPLES).inputs["image"][:3]
    np.save("three.npy", images)
    assert mltool.predict("latest", "input=three.npy") == mltool.load().predict(images)
    assert mltool.evaluate("latest", split="validation") == at_digits.evaluate(split="validation")


def test_raw_pixels_are_scaled_in_the_graph(at_digits: mltool.Model) -> None:
    spec = schema_of(at_digits).inputs[0]
    assert (spec.name, spec.dtype, spec.shape) == ("image", "uint8", (1, 8, 8))
    samples = Samples.load(at_digits.path / SAMPLES)
    assert samples.target is not None
    answers = at_digits.predict(samples.inputs["image"])
    assert np.mean([int(a["label"]) == code for a, code in zip(answers, samples.target, strict=True)]) > 0.9


@pytest.mark.usefixtures("project")
def test_a_wrong_value_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match="unknown key `epoch`") as caught:
        mltool.train(epoch=3)
    assert caught.value.hint == "did you mean `epochs`?"
    with pytest.raises(ConfigError, match=r"`train.epochs` must be"):
        mltool.train("epochs=0")
    assert not Path(".mltool").exists()


# A regression: the prediction is in the target's unit ----------------------------------------------------------------


@pytest.fixture(scope="session")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> mltool.Model:
    from sklearn.datasets import load_diabetes

    folder = tmp_path_factory.mktemp("diabetes")
    data = load_diabetes(scaled=False)
    lines = [",".join([*data.feature_names, "progression"])]
    lines += [",".join(map(str, [*row, y])) for row, y in zip(data.data, data.target, strict=True)]
    (folder / "diabetes.csv").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return mltool.train("data.source=diabetes.csv", "model.args.hidden=16", epochs=40, name="diabetes")


def test_a_regression_predicts_in_the_unit_of_its_target(diabetes: mltool.Model) -> None:
    samples = Samples.load(diabetes.path / SAMPLES)
    assert samples.target is not None
    predictions = np.array([answer["prediction"] for answer in diabetes.predict(samples.inputs)])
    assert 100 < predictions.mean() < 200, "the target has a mean of 152 and a deviation of 77"
    assert 30 < predictions.std() < 90
    assert np.corrcoef(predictions, samples.target)[0, 1] > 0.5
    assert set(diabetes.metrics) == {"r2", "mae", "rmse"}
    assert diabetes.metrics["r2"] > 0.2
    assert 30 < diabetes.metrics["rmse"] < 75
    assert passed(diabetes)


def test_the_metrics_of_a_regression_are_those_of_its_predictions(
    diabetes: mltool.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(diabetes.path.parents[2])
    assert dict(diabetes.evaluate().metrics) == pytest.approx(dict(diabetes.metrics), rel=1e-4)
    page = (diabetes.path / "report.html").read_text(encoding="utf-8")
    assert "rmse" in page
    assert "relative_error" in page


# A custom task: any tensors out, loss and metric by import path -------------------------------------------------------

AUTOENCODER = """
    import torch
    from torch import nn

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU())
            self.decode = nn.Linear(12, 64)

        def forward(self, x):
            code = self.encode(x)
            return {"relu": code, "picture": torch.sigmoid(self.decode(code)).view(-1, 1, 8, 8)}

    def loss(outputs, target):
        return nn.functional.mse_loss(outputs["picture"], target) + 1e-4 * outputs["relu"].abs().mean()

    def fidelity(outputs, target):
        return 1.0 - ((outputs["picture"] - target) ** 2).mean() / target.var()
"""


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().images[:400] / 16.0, dtype=torch.float32)[:, None]


def test_an_autoencoder_trains_with_its_own_loss_and_metric(write: Write, pictures: torch.Tensor) -> None:
    write("squeeze/nets.py", AUTOENCODER)
    torch.save({"images": pictures}, "images.pt")
    model = mltool.train(
        "data.source=images.pt",
        "data.fields.inputs=images",
        "data.fields.labels=images",
        "model.target=squeeze.nets:Autoencoder",
        "task.loss=squeeze.nets:loss",
        "task.metric=squeeze.nets:fidelity",
        epochs=30,
        lr=0.02,
        name="squeeze",
    )
    assert passed(model)
    assert model.metrics["metric"] > 0.2
    answer = model.predict(pictures[:2])[0]
    assert list(answer) == ["relu", "picture"], "a name that the exporter uses for an operation is kept as well"
    assert np.shape(answer["picture"]) == (1, 8, 8)
    assert model.evaluate().metrics["metric"] == pytest.approx(model.metrics["metric"], rel=1e-4)
    assert model.predict(pictures[:1], backend="torch")[0]["picture"][0][0] == pytest.approx(
        answer["picture"][0][0], abs=1e-5
    )
    reference = Reference.load(model.path / "reference")
    assert set(reference.outputs) == {"relu", "picture"}


SEGMENTER = """
    import torch
    from torch import nn

    class Segmenter(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))

        def forward(self, image):
            return self.layers(image)

    def pixel_accuracy(outputs, masks):
        return (outputs.argmax(1) == masks).mean()

    def broken(outputs, masks):
        return outputs["mask"].mean()
"""


def test_a_segmentation_has_a_target_for_every_pixel(write: Write, pictures: torch.Tensor) -> None:
    write("seg.py", SEGMENTER)
    masks = (pictures[:, 0] > 0.4).long()
    torch.save({"images": pictures, "labels": masks}, "masks.pt")
    options = ("data.source=masks.pt", "model.target=seg:Segmenter", "task.loss=cross_entropy")
    model = mltool.train(*options, "task.metric=seg:pixel_accuracy", epochs=15, lr=0.03, name="seg")
    assert passed(model)
    assert model.metrics["metric"] > 0.9
    assert np.shape(model.predict(pictures[:1])[0]["output"]) == (2, 8, 8)
    samples = Samples.load(model.path / SAMPLES)
    assert samples.target is not None
    assert samples.target.shape == (80, 8, 8)
    with pytest.raises(UserCodeError, match=r"`task\.metric` failed at seg\.py:16"):
        mltool.train(*options, "task.metric=seg:broken", epochs=1)
    with pytest.raises(ConfigError, match="a custom task needs a loss"):
        mltool.train(*options[:2], epochs=1)


# The user's own data --------------------------------------------------------------------------------------------------

TWO_INPUTS = """
    import torch
    from torch import nn
    from torch.utils.data import TensorDataset

    class Compare(nn.Module):
        '''Which of two vectors is longer; swapping them swaps the answer.'''
        def __init__(self, hidden=16):
            super().__init__()
            self.side = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 1))

        def forward(self, left, right):
            a, b = self.side(left), self.side(right)
            return torch.cat([a, b], dim=1).log_softmax(1)

    def points():
        x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        return TensorDataset(x[:150], (x[:150, 0] > 0).long()), TensorDataset(x[150:], (x[150:, 0] > 0).long())
"""


def test_several_inputs_are_trained_and_served_in_the_order_of_the_forward(write: Write) -> None:
    write("cmp.py", TWO_INPUTS)
    random = torch.Generator().manual_seed(0)
    left, right = torch.randn(600, 4, generator=random), torch.randn(600, 4, generator=random) + 0.5
    labels = (left.norm(dim=1) < right.norm(dim=1)).long()
    torch.save({"left": left, "right": right, "labels": labels}, "pairs.pt")
    options = ("data.source=pairs.pt", "model.target=cmp:Compare", "model.args.hidden=24")
    model = mltool.train(*options, "data.fields.inputs=left,right", epochs=25, lr=0.01, name="pairs")
    assert passed(model)
    assert model.metrics["accuracy"] > 0.85
    wanted = [str(code) for code in labels[:100].tolist()]
    arrays = {"right": right[:100].numpy(), "left": left[:100].numpy()}
    answers = [answer["label"] for answer in model.predict(arrays)]
    assert np.mean([a == b for a, b in zip(answers, wanted, strict=True)]) > 0.8
    records = [{"right": right[i].tolist(), "left": left[i].tolist()} for i in range(100)]
    assert [answer["label"] for answer in model.predict(records)] == answers
    with pytest.raises(ConfigError, match="in another order"):
        mltool.train(*options, "data.fields.inputs=right,left", epochs=1)


def test_data_from_the_users_own_callable_needs_no_file(write: Write, project: Path) -> None:
    write("own.py", TWO_INPUTS)
    model = mltool.train("data.target=own:points", "model.args.hidden=8", epochs=20, lr=0.02)
    assert model.name == project.name
    assert model.manifest.parents[0].name == "points@1"
    assert model.metrics["accuracy"] > 0.85
    assert model.evaluate().num_samples == 50


def test_keywords_and_overrides_are_the_same_config(write: Write) -> None:
    write("table.csv", "a,b,y\n" + "".join(f"{i % 7},{i * 37 % 11},{'pq'[i % 2]}\n" for i in range(80)))
    nested: dict[str, Any] = {"data": {"source": "table.csv"}, "model": {"args": {"hidden": 4}}}
    first = mltool.train(epochs=1, batch_size=16, name="same", **nested)
    again = mltool.train("data.source=table.csv", "model.args.hidden=4", "epochs=1", "batch_size=16", "name=same")
    assert (first.digest, again.ref) == (again.digest, "same@1")
