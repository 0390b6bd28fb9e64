"""Mistakes that reviews found: what is wrong in silence, or right only by luck."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.cli import show
from mltool.cli.app import run
from mltool.core.errors import CheckError, ConfigError
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.modeling.config import TaskConfig
from mltool.modeling.network import answer_of
from mltool.modeling.packaging.export import ExportError, export_onnx
from mltool.modeling.packaging.graphs import without_paths
from mltool.modeling.packaging.served import Served
from mltool.modeling.preprocess import Identity
from mltool.modeling.tasks.heads import CustomHead
from mltool.modeling.tasks.task import check_same_output_kind, make_task
from mltool.runtimes.runner import Signature
from mltool.runtimes.samples import Samples
from mltool.runtimes.verify import Limits, verify
from mltool.stages.import_.weights import load_weights
from mltool.stages.save.stage import save

PATH = "/home/somebody/net.py"


def described(graph: onnx.GraphProto) -> onnx.GraphProto:
    for part in (graph, *graph.node, *graph.output, *graph.initializer):
        part.doc_string = PATH
        part.metadata_props.add(key="stack_trace", value=PATH)
    return graph


def test_no_graph_inside_a_graph_keeps_a_path_of_this_machine() -> None:
    def branch(name: str) -> onnx.GraphProto:
        weight = helper.make_tensor(f"{name}_weight", TensorProto.FLOAT, [1], [2.0])
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4])
        return described(
            helper.make_graph([helper.make_node("Mul", ["x", weight.name], [name])], name, [], [value], [weight])
        )

    inner = helper.make_node("If", ["c"], ["inner"], then_branch=branch("a"), else_branch=branch("b"))
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["rows", 4])
    outer = described(helper.make_graph([inner], "outer", [], [value]))
    node = helper.make_node("If", ["c"], ["y"], then_branch=outer, else_branch=branch("d"))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in "xy")
    c = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    model = helper.make_model(described(helper.make_graph([node], "g", [x, c], [y])))
    function = helper.make_function("own", "F", ["c", "x"], ["y"], [node], [helper.make_opsetid("", 18)])
    function.doc_string = PATH
    model.functions.append(function)
    assert PATH.encode() in model.SerializeToString()
    content = without_paths(model).SerializeToString()
    assert PATH.encode() not in content
    assert b"rows" not in content


class Doubling:
    """Answers twice its input, and shows which batches it got."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    @property
    def signature(self) -> Signature:
        spec = TensorSpec("x", "float32", (1,))
        return Signature((spec,), (spec,))

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.sizes.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}


@pytest.mark.parametrize(("rows", "said"), [(1, "1, 2 and 5"), (3, "1, 2, 3 and 5"), (64, "1, 2, 5 and 64")])
def test_few_samples_are_repeated_and_the_batch_sizes_that_ran_are_said(rows: int, said: str) -> None:
    x = np.arange(rows, dtype=np.float32)[:, None]
    runner = Doubling()
    checks = verify(runner, Samples({"x": x}, {"y": x * 2}), Limits())
    assert (checks[0].status, checks[0].detail) == ("passed", said)
    assert runner.sizes[1:] == [int(size) for size in said.replace(" and", ",").split(",")]


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 10)


def test_a_module_saved_with_labels_that_lack_the_top_class_has_all_its_classes(
    module: nn.Module, tmp_path: Path
) -> None:
    inputs, labels = torch.randn(20, 4), torch.arange(20) % 7
    artifact = save(module, inputs, labels, name="m", classes=None, store=Store(tmp_path))
    assert [output["shape"] for output in artifact.manifest.signature["outputs"]] == [[10], [10]]


def prefixed(*wholes: tuple[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for prefix, part in wholes for key, value in part.state_dict().items()}


def test_two_prefixes_that_fit_with_different_values_are_not_chosen_between(module: nn.Module) -> None:
    weights = prefixed(("model.", module), ("ema.", nn.Linear(4, 10)))
    with pytest.raises(ConfigError, match=r"two sets of weights that fit the network: `ema\.` and `model\.`") as caught:
        load_weights(nn.Linear(4, 10), weights, Path("w.pt"))
    assert "save only the one you want" in (caught.value.hint or "")


@pytest.mark.parametrize("other", ["equal", "wider"])
def test_equal_values_and_other_shapes_are_no_conflict(other: str, module: nn.Module) -> None:
    beside = {"equal": module, "wider": nn.Linear(8, 10)}[other]
    loaded = nn.Linear(4, 10)
    load_weights(loaded, prefixed(("ema.", beside), ("model.", module)), Path("w.pt"))
    assert torch.equal(loaded.weight, module.weight)


class Softmax(nn.Module):
    """A norm with buffers, dropout that takes random numbers, and a softmax in some modes."""

    def __init__(self, modes: tuple[bool, ...]) -> None:
        super().__init__()
        self.modes, self.body = modes, nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).softmax(1) if self.training in self.modes else self.body(x)


SCHEMA = Schema((Column("x", "tensor"),), (TensorSpec("x", "float32", (4,)),), Target("y", "class", ("a", "b", "c")))


@pytest.mark.parametrize("modes", [(True,), (False,)])
def test_a_softmax_in_one_mode_only_is_refused(modes: tuple[bool, ...]) -> None:
    network, inputs = Softmax(modes), [torch.randn(8, 4)]
    task = make_task(TaskConfig(), SCHEMA, answer_of(network, inputs))
    with pytest.raises(ConfigError, match=r"answers \w+ in training mode, but \w+ in evaluation mode"):
        check_same_output_kind(task, network, inputs)


@pytest.mark.parametrize("modes", [(), (True, False)])
def test_looking_at_the_training_mode_leaves_no_trace(modes: tuple[bool, ...]) -> None:
    network, inputs = Softmax(modes).eval(), [torch.randn(8, 4)]
    task = make_task(TaskConfig(), SCHEMA, answer_of(network, inputs))
    before, random = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    check_same_output_kind(task, network, inputs)
    assert not network.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x * 2
        return x


class Baked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, -1) * 2


@pytest.mark.parametrize(
    ("network", "line", "advice"),
    [
        (Branch(), "if x.sum() > 0:", "use `torch.where` instead"),
        (Baked(), "x.reshape(2, -1)", "use -1 or `x.shape[0]`"),
    ],
)
def test_a_network_that_cannot_be_exported_gets_one_line_with_what_to_do(
    network: nn.Module, line: str, advice: str, tmp_path: Path
) -> None:
    served, x = Served(network, [Identity()], CustomHead()), np.ones((2, 4), np.float32)
    with pytest.raises(ExportError) as caught:
        export_onnx(served, [x], ["x"], ["output"], tmp_path / "graph.onnx")
    message = caught.value.message
    assert "\n" not in message
    assert "test_review_mends.py:" in message
    assert line in message
    assert advice in message


def test_metrics_say_on_which_split_they_were_measured(
    module: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / ".mltool")
    save(module, torch.randn(20, 4), torch.arange(20) % 10, name="m", classes=None, store=store)
    capsys.readouterr()
    assert run(["models", "show", "m"]) == 0
    assert "\nmeasured on the samples split\nmetric" in capsys.readouterr().out


def test_an_error_that_follows_says_the_reason_of_a_failed_check_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckError, match=r"use `torch\.where` instead") as caught:
        save(Branch(), np.ones((2, 4), np.float32), None, name="m", classes=None, store=Store(tmp_path))
    kept = caught.value.artifact
    assert isinstance(kept, Artifact)
    shown = []
    for with_reasons in (True, False):
        capsys.readouterr()
        show.show_artifact(kept, with_reasons=with_reasons)
        shown.append("torch.where" in capsys.readouterr().out)
    assert shown == [True, False]
