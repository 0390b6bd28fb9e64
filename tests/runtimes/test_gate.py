"""What `deploy` lets through, with real models and what was proved of them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check, CheckStatus
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store, open_store
from mltool.core.errors import CheckError
from mltool.runtimes.gate import REQUIRED, admit
from user_project import said

__all__ = ["said"]

CLUSTERS = torch.arange(128) % 4
X = 4 * torch.eye(8)[CLUSTERS] + torch.randn(128, 8, generator=torch.Generator().manual_seed(0))


class Classifier(nn.Module):
    """Knows which of four clusters a row is from, by so wide a margin that int8 leaves it.

    Args:
        outlier: Scales one hidden channel up and its weights down again: the same answers, but int8 has no room for
            two scales that far apart.
    """

    def __init__(self, outlier: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(8, 512), nn.Linear(512, 4)
        with torch.no_grad():
            hidden, wanted = torch.relu(self.first(X)), 10 * torch.eye(4)[CLUSTERS]
            self.second.weight.copy_((torch.linalg.pinv(hidden, rtol=1e-2) @ wanted).T)
            self.first.weight[0] *= outlier
            self.first.bias[0] = 5 * outlier
            self.second.weight[:, 0] = 1e-3 / outlier

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))


def saved(module: nn.Module, labels: Tensor | None = None, name: str = "net") -> Artifact:
    return mltool.save(module.eval(), X, labels, name=name)


def classifier(outlier: float = 1.0) -> Artifact:
    module = Classifier(outlier).eval()
    return saved(module, module(X).argmax(1))


def without(model: Artifact, *names: str, also: tuple[Check, ...] = ()) -> Artifact:
    """The same model with other checks; a manifest is sealed, so it is written anew."""
    kept = tuple(check for check in model.checks if check.id not in names)
    with open_store().draft(ArtifactKind.model) as draft:
        draft.path("graph.onnx").write_bytes((model.path / "graph.onnx").read_bytes())
        return draft.commit(None, config={"copy": len(kept)}, checks=(*kept, *also))


def status(model: Artifact) -> dict[str, CheckStatus]:
    return {check.id: check.status for check in model.checks}


def test_a_verified_model_and_its_twin_pass() -> None:
    model = classifier()
    assert admit(model, open_store()) == ()
    twin = mltool.quantize("net").artifact
    assert twin.digest != model.digest
    assert admit(twin, open_store()) == ()


def test_a_model_that_failed_a_check_is_refused_though_its_digest_is_known(said: list[str]) -> None:
    classifier(outlier=1e6)
    with pytest.raises(CheckError) as caught:
        mltool.quantize("net")
    made = caught.value.artifact
    assert isinstance(made, Artifact)
    broken = open_store().find(made.digest[:12], ArtifactKind.model)
    with pytest.raises(CheckError, match=rf"`{broken.label}` is not fit .*`task_metric_drop` failed \(.* is the limit"):
        admit(broken, open_store())
    accepted = admit(broken, open_store(), accept_failed_checks=True)
    assert {check.id for check in accepted} == {c.id for c in broken.checks if c.status is CheckStatus.failed}
    assert f"`{broken.label}` is deployed although `" in said[-1]


def test_the_refusal_names_every_check_and_the_way_round_it() -> None:
    model = without(
        classifier(), "finite", "class_agreement", also=(Check.at_least("class_agreement", 0.5, 0.99, "margins: 0.1"),)
    )
    with pytest.raises(CheckError) as caught:
        admit(model, open_store())
    assert caught.value.exit_code == 4
    failed, missing = caught.value.message.partition(": ")[2].split("; ")
    assert failed == "`class_agreement` failed (0.5 where 0.99 is the limit, margins: 0.1)"
    assert missing == "`finite` was not run (nobody has checked it)"
    assert "--accept-failed-checks" in str(caught.value.hint)


@pytest.mark.parametrize("name", REQUIRED)
def test_each_check_is_needed(name: str) -> None:
    with pytest.raises(CheckError, match=rf"deployed: `{name}` was not run \(nobody has checked it\)$"):
        admit(without(classifier(), name), open_store())


def test_a_graph_from_elsewhere_that_has_no_metric_passes_when_it_runs_the_same_everywhere() -> None:
    onnx.save(_linear_graph(), "net.onnx")
    np.savez("rows.npz", x=X.numpy())
    fields = ("data.source=rows.npz", "data.fields.inputs=x", "data.fields.labels=x", "task.kind=custom")
    model = mltool.import_model("net.onnx", *fields, name="foreign")
    assert status(model)["task_metric_drop"] is CheckStatus.not_run
    assert admit(model, open_store()) == ()


def test_an_unlabelled_classifier_whose_classes_were_not_compared_is_refused() -> None:
    model = saved(Classifier())
    assert status(model)["task_metric_drop"] is CheckStatus.not_run
    assert admit(model, open_store()) == ()
    with pytest.raises(CheckError, match="`class_agreement` was not run"):
        admit(without(model, "class_agreement"), open_store())
    nothing_compared = Check.not_run("class_agreement", "the model predicts no classes")
    with pytest.raises(CheckError, match=r"`relative_error` was not run .*; `class_agreement` was not run"):
        admit(without(model, "class_agreement", "relative_error", also=(nothing_compared,)), open_store())


def test_a_regression_has_no_classes_and_passes() -> None:
    model = saved(nn.Linear(8, 1), X.sum(1))
    assert status(model)["class_agreement"] is CheckStatus.not_run
    assert admit(model, open_store()) == ()


def test_a_custom_task_passes_when_its_answers_agree() -> None:
    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"again": self.layer(x), "norm": x.norm(dim=1)}

    model = saved(Autoencoder())
    not_run = {name for name, verdict in status(model).items() if verdict is CheckStatus.not_run}
    assert not_run == {"class_agreement", "task_metric_drop"}
    assert admit(model, open_store()) == ()
    with pytest.raises(CheckError, match=r"`relative_error`.*`class_agreement`.*`task_metric_drop`"):
        admit(without(model, "relative_error"), open_store())


def test_what_was_proved_later_counts(store: Store) -> None:
    model, store = classifier(), open_store()
    store.attest(model, "robustness", checks=[Check.at_least("robust_accuracy", 0.4, 0.8)])
    with pytest.raises(CheckError, match=r"`robust_accuracy` failed \(0\.4 where 0\.8 is the limit\)"):
        admit(model, store)
    store.attest(model, "profile", checks=[Check.passed("robust_accuracy")])
    with pytest.raises(CheckError, match="`robust_accuracy` failed"):
        admit(model, store)  # another claim does not take the failure back
    store.attest(model, "robustness", checks=[Check.at_least("robust_accuracy", 0.9, 0.8)])
    assert admit(model, store) == ()


def test_a_check_that_could_not_be_run_may_be_made_up_for_later() -> None:
    store = open_store()
    model = without(classifier(), "finite", also=(Check.not_run("finite", "out of time"),))
    with pytest.raises(CheckError, match=r"`finite` was not run \(out of time\)"):
        admit(model, store)
    store.attest(model, "another host", checks=[Check.passed("finite")])
    assert admit(model, store) == ()


def test_what_somebody_wanted_to_check_and_could_not_is_missing() -> None:
    model, store = classifier(), open_store()
    store.attest(model, "robustness", checks=[Check.not_run("robust_accuracy", "no noisy data")])
    with pytest.raises(CheckError, match=r"deployed: `robust_accuracy` was not run \(no noisy data\)$"):
        admit(model, store)


def _linear_graph() -> onnx.ModelProto:
    weight = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
