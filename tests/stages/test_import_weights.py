from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import CheckStatus
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.core.errors import ArtifactError, CheckError, ConfigError, DataError, UserCodeError
from mltool.datasets.schema import schema_of
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.statistics.reference import Reference

pytestmark = pytest.mark.xdist_group("corn")

TARGET = "model.target=corn_src.models.model:MyAwesomeModel"


def served(model: mltool.Model, images: Any) -> np.ndarray:
    return np.array([list(answer["probabilities"].values()) for answer in model.predict(images)])


def test_served_probabilities_are_the_networks_own(corn_model: mltool.Model, in_corn: Any) -> None:
    images = in_corn.images[500:]
    assert np.abs(served(corn_model, images) - in_corn.eager_probabilities(images)).max() < 1e-4
    labels = [answer["label"] for answer in corn_model.predict(images)]
    assert labels == [str(code) for code in in_corn.eager_probabilities(images).argmax(1)]


def test_every_check_ran_and_passed(corn_model: mltool.Model) -> None:
    assert {check.status for check in corn_model.checks} == {CheckStatus.passed}
    assert [check.id for check in corn_model.checks] == [
        "export",
        "fresh_process",
        "batch_sizes",
        "finite",
        "relative_error",
        "class_agreement",
        "task_metric_drop",
    ]


def test_the_metrics_are_those_of_the_test_split(corn_model: mltool.Model, corn: Any) -> None:
    right = corn.eager_probabilities(corn.images[500:]).argmax(1) == corn.labels[500:].numpy()
    assert corn_model.metrics["accuracy"] == pytest.approx(right.mean())
    assert corn_model.metrics["accuracy"] > 0.8, "the network was trained, so that the other tests mean something"
    low, high = corn_model.manifest.facts["intervals"]["accuracy"]
    assert low < right.mean() < high


@pytest.mark.parametrize("weights", ["lightning.ckpt", "trained.safetensors"])
def test_the_same_weights_in_another_file_are_the_same_model(
    weights: str, corn_model: mltool.Model, in_corn: Any, said: list[str]
) -> None:
    again = mltool.import_model(weights, *in_corn.overrides, name="corn")
    assert (again.digest, again.ref) == (corn_model.digest, "corn@1")
    assert again.manifest.weights_digest == corn_model.manifest.weights_digest
    assert any("took the prefix `state_dict/model.`" in text for text in said) == (weights == "lightning.ckpt")


def test_the_artifact_holds_all_that_later_stages_need(corn_model: mltool.Model, corn: Any) -> None:
    files = {path.relative_to(corn_model.path).as_posix() for path in corn_model.path.rglob("*") if path.is_file()}
    assert {
        "artifact.json",
        "graph.onnx",
        "weights.safetensors",
        "schema.json",
        "samples.npz",
        "history.jsonl",
        "report.html",
    } <= files
    schema, samples = schema_of(corn_model), Samples.load(corn_model.path / SAMPLES)
    assert [spec.name for spec in schema.inputs] == list(samples.inputs) == ["x"], "the name in the network's forward"
    assert len(samples) == 200
    images = torch.from_numpy(samples.inputs["x"])
    assert np.abs(samples.outputs["probabilities"] - corn.eager_probabilities(images)).max() < 1e-6
    assert samples.target is not None
    assert samples.target.tolist() == corn.labels[500:].tolist()


def test_the_reference_has_sketches_rows_outputs_and_calibration(corn_model: mltool.Model) -> None:
    reference = Reference.load(corn_model.path / "reference")
    assert set(reference.numbers) >= {"image.brightness", "image.contrast"}
    assert reference.row_split == "validation"
    assert reference.outputs["probabilities"].shape == (len(reference.rows["image"]), 10)
    assert reference.class_counts is not None
    assert reference.class_counts.sum() == 425
    assert reference.reliability is not None


def test_the_report_shows_the_checks_the_lineage_and_the_worst_pictures(corn_model: mltool.Model) -> None:
    page = (corn_model.path / "report.html").read_text(encoding="utf-8")
    for check in corn_model.checks:
        assert check.id in page
    assert "data@1" in page
    assert "data:image/png;base64," in page
    assert str(corn_model.path.parents[2]) not in page, "no path of this machine"


def test_the_manifest_names_the_dataset_the_recipe_and_no_path_of_this_machine(
    corn_model: mltool.Model, corn: Any
) -> None:
    parent = corn_model.manifest.parents[0]
    assert (parent.kind, parent.name) == (ArtifactKind.dataset, "data@1")
    assert corn_model.config["rebuild"]["target"] == "corn_src.models.model:MyAwesomeModel"
    assert corn_model.config["rebuild"]["output_kind"] == "log_probabilities"
    assert str(corn.folder) not in json.dumps(corn_model.config)
    assert str(corn.folder).encode() not in (corn_model.path / "graph.onnx").read_bytes()


def test_the_eager_network_serves_the_same(corn_model: mltool.Model, in_corn: Any) -> None:
    images = in_corn.images[500:520]
    eager = np.array([list(a["probabilities"].values()) for a in corn_model.predict(images, backend="torch")])
    assert np.abs(eager - served(corn_model, images)).max() < 1e-5


# What goes wrong ---------------------------------------------------------------------------------------------------


def import_it(weights: str, *overrides: str) -> mltool.Model:
    return mltool.import_model(weights, "data.source=data.pt", *overrides)


@pytest.mark.usefixtures("in_corn")
def test_a_pickled_network_is_refused_with_the_safe_way() -> None:
    with pytest.raises(DataError, match=r"`pickled\.pt` needs code to be executed.*MyAwesomeModel") as caught:
        import_it("pickled.pt", TARGET)
    assert caught.value.hint == "write tensors only, such as `torch.save(model.state_dict(), path)`"


@pytest.mark.usefixtures("in_corn")
def test_arguments_that_do_not_fit_the_weights_name_the_first_that_differs() -> None:
    with pytest.raises(ConfigError, match=r"`fc1\.weight` is \[16, 144\], but the network has \[32, 144\]"):
        import_it("trained.pt", TARGET, "model.args.hidden=32")


@pytest.mark.usefixtures("in_corn")
def test_weights_without_a_class_say_how_to_give_it() -> None:
    with pytest.raises(ConfigError, match=r"`trained\.pt` holds weights, but not the network") as caught:
        import_it("trained.pt")
    assert caught.value.hint == "give its class as `model.target=package.module:Class`"


@pytest.mark.usefixtures("in_corn")
def test_without_data_nothing_can_be_verified() -> None:
    with pytest.raises(ConfigError, match="`mltool import` needs data to verify the model on"):
        mltool.import_model("trained.pt", TARGET)


@pytest.mark.usefixtures("in_corn")
def test_weights_that_are_not_there_are_named_with_the_folder(corn: Any) -> None:
    with pytest.raises(DataError, match=rf"`trianed\.pt` does not exist in `{corn.folder}`"):
        import_it("trianed.pt", TARGET)


@pytest.mark.usefixtures("in_corn")
def test_data_that_the_network_does_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="forward takes `x`, but the data has `numbers`, `categories`"):
        mltool.import_model("trained.pt", TARGET, "data.source=penguins")


def test_weights_that_are_nan_are_kept_without_a_name_and_say_why(in_corn: Any) -> None:
    state = in_corn.network.state_dict()
    torch.save({key: torch.full_like(value, torch.nan) for key, value in state.items()}, "nan.pt")
    with pytest.raises(CheckError, match="`finite`: logits, probabilities; the eager network's answers are not"):
        import_it("nan.pt", TARGET, "name=broken")
    with pytest.raises(ArtifactError, match="there is no model `broken`"):
        mltool.load("broken")


# Networks that cannot be exported -----------------------------------------------------------------------------------

BRANCHING = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(64, 10)

        def forward(self, x):
            x = x.flatten(1)
            if x.mean() > 0.5:
                x = x / 2
            return self.out(x)
"""


@pytest.fixture
def data(project: Path, corn: Any) -> Path:
    torch.save((corn.images[:120], corn.labels[:120]), project / "data.pt")
    return project


def kept_by(error: CheckError) -> Artifact:
    assert error.exit_code == 4
    assert isinstance(error.artifact, Artifact)
    return error.artifact


def test_a_forward_that_cannot_be_exported_keeps_weights_and_report(
    data: Path, write: Callable[[str, str], Path]
) -> None:
    write("branching.py", BRANCHING)
    with pytest.raises(CheckError, match=r"`export`: .* at branching\.py:11 \(`if x\.mean\(\) > 0\.5:`\)") as caught:
        mltool.train("model.target=branching:Net", "data.source=data.pt", epochs=1, name="branching")
    kept = kept_by(caught.value)
    assert (kept.path / "weights.safetensors").is_file()
    assert "branching.py:11" in (kept.path / "report.html").read_text(encoding="utf-8")
    assert not (kept.path / "graph.onnx").exists()
    assert kept.checks[0].status is CheckStatus.failed
    assert {check.status for check in kept.checks[1:]} == {CheckStatus.not_run}
    assert "accuracy" in kept.metrics, "the eager network was measured all the same"


def test_a_model_with_a_failed_check_is_found_by_its_digest_only(data: Path, write: Callable[[str, str], Path]) -> None:
    write("branching.py", BRANCHING)
    with pytest.raises(CheckError) as caught:
        mltool.train("model.target=branching:Net", "data.source=data.pt", epochs=1, name="branching")
    kept = kept_by(caught.value)
    for ref in ("latest", "branching", "branching@1"):
        with pytest.raises(ArtifactError):
            mltool.load(ref)
    model = mltool.load(kept.digest[:12])
    assert model.ref is None
    with pytest.raises(ArtifactError, match="has no graph: its export failed") as without:
        model.predict(np.zeros((1, 1, 8, 8), np.float32))
    assert "backend=torch" in str(without.value.hint)
    assert len(model.predict(np.zeros((2, 1, 8, 8), np.float32), backend="torch")) == 2
    assert kept.label in str(caught.value.hint)


def test_a_batch_size_baked_into_the_network_is_a_failed_export(data: Path, write: Callable[[str, str], Path]) -> None:
    write(
        "baked.py",
        """
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.out = nn.Linear(64, 10)

            def forward(self, x):
                rows = [self.out(row.flatten()) for row in x]
                return torch.stack(rows)
        """,
    )
    with pytest.raises(CheckError, match=r"`export`: .*baked\.py:10") as caught:
        mltool.train("model.target=baked:Net", "data.source=data.pt", epochs=1)
    assert kept_by(caught.value).checks[0].status is CheckStatus.failed


def test_an_output_that_does_not_fit_the_labels_is_refused_before_training(
    data: Path, write: Callable[[str, str], Path]
) -> None:
    write("narrow.py", BRANCHING.replace("nn.Linear(64, 10)", "nn.Linear(64, 9)"))
    with pytest.raises(ConfigError, match=r"answers \[N, 9\], but `labels` has 10 classes, so \[N, 10\] is needed"):
        mltool.train("model.target=narrow:Net", "data.source=data.pt")
    assert not list(open_store().artifacts.glob("model*"))


def test_a_forward_that_raises_names_its_line(data: Path, write: Callable[[str, str], Path]) -> None:
    write("tall.py", BRANCHING.replace("x.flatten(1)", "x.flatten(1) @ torch.ones(3, 3)"))
    with pytest.raises(UserCodeError, match=r"the network's forward failed at tall\.py:10 .*RuntimeError"):
        mltool.train("model.target=tall:Net", "data.source=data.pt")


def test_a_source_that_changed_is_refused_by_the_torch_runtime_only(
    data: Path, write: Callable[[str, str], Path]
) -> None:
    path = write("plain.py", BRANCHING.replace("if x.mean() > 0.5:", "if False:"))
    model = mltool.train("model.target=plain:Net", "data.source=data.pt", epochs=1, name="plain")
    x = np.zeros((2, 1, 8, 8), np.float32)
    before = model.predict(x, backend="torch")
    assert before[0]["label"] == model.predict(x)[0]["label"]
    path.write_text(path.read_text() + "\n# a comment\n")
    with pytest.raises(ArtifactError, match="the source of `plain:Net` changed after `plain@1` was made") as caught:
        model.predict(x, backend="torch")
    assert "backend=onnxruntime" in str(caught.value.hint)
    assert model.predict(x) == model.predict(x)


def test_a_helper_that_changed_is_noticed_by_its_answers(data: Path, write: Callable[[str, str], Path]) -> None:
    write("helper.py", "def scale(x):\n    return x * 1.0\n")
    write(
        "helped.py",
        "import helper\n"
        + textwrap.dedent(BRANCHING).replace("if x.mean() > 0.5:", "x = helper.scale(x)\n        if False:"),
    )
    model = mltool.train("model.target=helped:Net", "data.source=data.pt", epochs=1, name="helped")
    sys.modules["helper"].scale = lambda x: x * 3.0
    with pytest.raises(ArtifactError, match="the network built from `helped:Net` answers other values than") as caught:
        model.predict(np.zeros((2, 1, 8, 8), np.float32), backend="torch")
    assert "backend=onnxruntime" in str(caught.value.hint)
