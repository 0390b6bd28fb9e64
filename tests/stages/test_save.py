from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import mltool
from mltool.artifacts.checks import CheckStatus
from mltool.core.errors import ArtifactError, CheckError, ConfigError, UserCodeError
from mltool.runtimes.samples import SAMPLES, Samples

pytestmark = pytest.mark.xdist_group("save")

X = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
LABELS = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()


class Tail(nn.Module):
    """Three classes from six numbers, ending in whatever is asked for."""

    def __init__(self, ends_in: str = "logits") -> None:
        super().__init__()
        torch.manual_seed(1)
        self.norm, self.out, self.ends_in = nn.BatchNorm1d(6), nn.Linear(6, 3), ends_in
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.drop(self.out(self.norm(x))) * 3
        ends = {"logits": logits, "log_probabilities": logits.log_softmax(1), "probabilities": logits.softmax(1)}
        return ends[self.ends_in]

    def own_probabilities(self, x: Tensor) -> np.ndarray:
        logits = (self.out(self.norm.eval()(x)) * 3).detach()
        return logits.softmax(1).numpy()


class Pair(nn.Module):
    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return torch.stack([image.sum(1), (image * mask).sum(1)], dim=1)


class Bias(nn.Module):
    """Needs an argument."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


class Power(nn.Module):
    """Its argument changes the answer and not a single weight."""

    def __init__(self, exponent: int = 1) -> None:
        super().__init__()
        self.exponent, self.out = exponent, nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x**self.exponent)


def served(model: mltool.Model, x: Any, **values: Any) -> np.ndarray:
    return np.array([list(answer["probabilities"].values()) for answer in model.predict(x, **values)])


@pytest.mark.parametrize("ends_in", ["logits", "log_probabilities", "probabilities"])
def test_served_probabilities_are_the_modules_own_for_every_ending(ends_in: str) -> None:
    module = Tail(ends_in).eval()
    model = mltool.save(module, X, LABELS, name="tail")
    assert np.abs(served(model, X) - module.own_probabilities(X)).max() < 1e-4
    assert {check.status for check in model.checks} == {CheckStatus.passed}
    assert model.metrics["accuracy"] == pytest.approx((module.own_probabilities(X).argmax(1) == LABELS.numpy()).mean())
    samples = Samples.load(model.path / SAMPLES)
    assert list(samples.inputs) == ["x"]
    assert np.array_equal(samples.inputs["x"], X.numpy())
    assert model.config["rebuild"]["target"].endswith("test_save:Tail")
    if ends_in == "logits":  # the default, with which the class is built again
        assert np.allclose(served(model, X, backend="torch"), served(model, X), atol=1e-5)
    evaluation = model.evaluate()
    assert (evaluation.split, evaluation.num_samples) == ("samples", len(X))
    assert evaluation.metrics["accuracy"] == pytest.approx(model.metrics["accuracy"])


def accuracy(module: Tail) -> float:
    return float((module.own_probabilities(X).argmax(1) == LABELS.numpy()).mean())


def test_the_module_keeps_its_weights_and_every_mode() -> None:
    module = Tail().train()
    module.norm.eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    mltool.save(module, X, LABELS, name="modes")
    assert (module.training, module.norm.training, module.drop.training) == (True, False, True)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_the_modes_come_back_after_an_error_too() -> None:
    module = Tail().train()
    with pytest.raises(ConfigError, match=r"answers \[N, 3\], but `label` has 5 classes"):
        mltool.save(module, X, LABELS, classes=list("abcde"))
    with pytest.raises(UserCodeError, match="the network's forward failed"):
        mltool.save(module, X[:, :3], LABELS)
    assert module.training
    assert module.drop.training


def test_a_module_saved_with_labels_that_lack_the_top_class_has_all_its_classes() -> None:
    model = mltool.save(nn.Linear(6, 10), X, torch.arange(96) % 7, name="lacking")
    assert [output["shape"] for output in model.manifest.signature["outputs"]] == [[10], [10]]


def test_labels_may_be_the_names_of_classes() -> None:
    classes, module = ["low", "middle", "high"], Tail().eval()
    model = mltool.save(module, X, [classes[code] for code in LABELS.tolist()], name="names", classes=classes)
    assert model.metrics["accuracy"] == pytest.approx(accuracy(module))
    answer = model.predict(X[:1])[0]
    assert list(answer["probabilities"]) == classes
    assert answer["label"] == classes[module.own_probabilities(X)[0].argmax()]


@pytest.mark.parametrize(
    ("labels", "classes", "why"),
    [
        (["a"] * 96, None, "`sample_labels` holds names, but not what the module's outputs stand for"),
        (["a"] * 95 + ["d"], ["a", "b", "c"], "`sample_labels` holds `d`, which is none of `classes`"),
        (LABELS + 1, ["a", "b", "c"], "goes from 1 to 3, but there are 3 classes"),
        (LABELS - 1, None, "goes from -1 to 1"),
        (LABELS[:-1], None, "the samples differ in number: .* labels 95"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: Any, classes: list[str] | None, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        mltool.save(Tail(), X, labels, classes=classes)


def test_without_labels_the_metric_is_not_run_and_the_outputs_are_the_modules_own() -> None:
    module = Tail().eval()
    model = mltool.save(module, X, name="unlabelled")
    by_id = {check.id: check for check in model.checks}
    assert by_id["task_metric_drop"].status is CheckStatus.not_run
    assert by_id["task_metric_drop"].detail == "the samples have no labels"
    assert dict(model.metrics) == {}
    with torch.no_grad():
        assert model.predict(X[:2])[1]["output"] == pytest.approx(module(X[:2])[1].tolist(), abs=1e-5)


def test_classes_without_labels_are_enough_to_serve_probabilities() -> None:
    module = Tail().eval()
    model = mltool.save(module, X, classes=["a", "b", "c"], name="classes")
    assert np.abs(served(model, X) - module.own_probabilities(X)).max() < 1e-4
    assert {c.id: c.status for c in model.checks}["class_agreement"] is CheckStatus.passed
    assert dict(model.metrics) == {}


def test_numbers_as_labels_are_a_regression() -> None:
    model = mltool.save(nn.Linear(6, 1), X, X.sum(1), name="numbers")
    assert set(model.metrics) == {"r2", "mae", "rmse"}
    assert list(model.predict(X[:1])[0]) == ["prediction"]


def test_tensors_as_labels_need_neither_loss_nor_metric() -> None:
    images, masks = torch.rand(20, 1, 8, 8), torch.zeros(20, 8, 8, dtype=torch.long)
    model = mltool.save(nn.Conv2d(1, 2, 3, padding=1), images, masks, name="segments")
    assert np.array(model.predict(images[:2])[0]["output"]).shape == (2, 8, 8)


def test_several_inputs_go_by_the_names_of_the_forward_in_any_order() -> None:
    mask = (X > 0).float()
    model = mltool.save(Pair(), {"mask": mask, "image": X}, name="pair")
    assert [spec["name"] for spec in model.manifest.signature["inputs"]] == ["image", "mask"]
    answer = model.predict({"mask": mask.numpy(), "image": X.numpy()})
    assert answer[0]["output"] == pytest.approx(Pair()(X, mask)[0].tolist(), abs=1e-5)


def test_several_inputs_may_be_given_in_the_order_of_the_forward() -> None:
    mask = (X > 0).float()
    model = mltool.save(Pair(), (X, mask), name="tuple")
    answer = model.predict({"image": X.numpy(), "mask": mask.numpy()})[0]["output"]
    assert answer == pytest.approx(Pair()(X, mask)[0].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"image": X, "maks": X}, "the module's forward takes no `maks`"),
        ({"mask": X}, "`sample_inputs` has no `image`"),
        ({"image": X, "mask": X[:5]}, "the samples differ in number"),
        (torch.zeros(0, 6), "one sample or more, not `Tensor`"),
        (np.array(["a", "b"]), "must be a tensor or an array"),
        ("data.pt", "must be a tensor or an array .* not `str`"),
    ],
)
def test_samples_that_do_not_fit_are_refused(inputs: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        mltool.save(Pair(), inputs)


def test_a_name_defaults_to_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my corn (final)").mkdir()
    monkeypatch.chdir(tmp_path / "my corn (final)")
    assert mltool.save(Tail(), X.double().numpy(), LABELS.tolist()).ref == "my-corn-final@1"
    with pytest.raises(ConfigError, match="`no good`"):
        mltool.save(Tail(), X, LABELS, name="no good")


def test_a_module_that_needs_arguments_has_only_its_graph() -> None:
    model = mltool.save(Bias(2.0), X, name="bias")
    assert model.config["rebuild"] == {"task": "custom"}
    assert model.predict(X[:1])[0]["output"] == pytest.approx((X[0] + 2).tolist())
    with pytest.raises(ArtifactError, match="`bias@1` has no module to build again"):
        model.predict(X[:1], backend="torch")


def test_a_class_built_with_other_arguments_is_not_served_wrongly_in_torch() -> None:
    model = mltool.save(Power(3), X, name="power")
    with pytest.raises(ArtifactError, match="answers other values than `power@1` did when it was made"):
        model.predict(X[:3], backend="torch")


def test_a_script_of_ones_own_needs_two_lines(tmp_path: Path) -> None:
    script = """
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.out = nn.Linear(4, 2)
            def forward(self, features):
                return self.out(features)

        if __name__ == "__main__":
            x, y = torch.randn(70, 4), torch.arange(70) % 2
            import mltool
            model = mltool.save(Net(), x, y, name="script")
            print(model.ref, list(model.config["rebuild"]), model.predict(x[:1])[0]["label"] in "01")
    """
    (tmp_path / "train.py").write_text(textwrap.dedent(script))
    run = subprocess.run([sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["script@1", "['task']", "True"]
    assert run.stderr == ""


def test_a_forward_that_cannot_be_exported_is_kept_by_its_digest() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(
        CheckError, match=r"`export`: .*test_save\.py:\d+ \(`return x if x\.sum\(\) > 0 else -x`\)"
    ) as e:
        mltool.save(Branch(), X, name="branch")
    kept = mltool.load(e.value.artifact.digest)  # type: ignore[attr-defined]
    assert kept.checks[0].status is CheckStatus.failed


def test_saving_in_the_middle_of_training_changes_no_random_number() -> None:
    module = Tail().eval()
    torch.manual_seed(7)
    mltool.save(module, X, LABELS, name="middle")
    after = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(3))


def test_what_is_no_module_or_no_array_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"needs an `nn\.Module`, not a `int`"):
        mltool.save(5, torch.rand(4, 3), name="number")  # type: ignore[arg-type]
    samples = TensorDataset(torch.rand(4, 3), torch.rand(4, 2))
    with pytest.raises(ConfigError, match="`sample_inputs` must be one tensor or array, not `TensorDataset`"):
        mltool.save(nn.Linear(3, 2), samples, name="dataset")
