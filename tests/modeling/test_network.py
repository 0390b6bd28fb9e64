from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mltool.core.errors import ConfigError, UserCodeError
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.modeling.config import ModelConfig
from mltool.modeling.network import answer_of, check_network, evaluating, input_names, make_network, renamed_inputs
from mltool.modeling.tasks.outputs import outputs_by_name

NETWORKS = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self, hidden, classes=3):
            super().__init__()
            self.layer = nn.Linear(hidden, classes)
        def forward(self, x):
            return self.layer(x)

    class Unlucky(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = 1 / 0

    def make(hidden=4):
        return Net(hidden)

    ready = Net(5)

    def text():
        return "a network"
"""


def tensors(*names: str) -> Schema:
    columns = tuple(Column(name, "tensor") for name in names)
    return Schema(columns, tuple(TensorSpec(name, "float32", (4,)) for name in names), Target("y", "class", ("a", "b")))


def made(target: str, **args: Any) -> nn.Module:
    return make_network(ModelConfig(target=target, args=args), tensors("x"), 0)


@pytest.fixture
def nets(write: Callable[[str, str], Path]) -> None:
    write("nets.py", NETWORKS)


@pytest.mark.usefixtures("nets")
def test_a_class_a_function_and_a_module_can_stand_under_the_path() -> None:
    assert made("nets:Net", hidden=7).layer.in_features == 7
    assert made("nets:make").layer.in_features == 4
    assert made("nets:ready").layer.in_features == 5


@pytest.mark.usefixtures("nets")
def test_a_class_that_needs_arguments_names_them_and_says_how_to_give_them() -> None:
    with pytest.raises(ConfigError, match=r"`nets:Net` cannot be called with no arguments: .*'hidden'") as caught:
        made("nets:Net")
    assert "model.args.NAME=VALUE" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="unexpected keyword argument 'hiden'"):
        made("nets:make", hiden=3)


@pytest.mark.usefixtures("nets")
def test_a_constructor_that_raises_shows_the_users_line() -> None:
    with pytest.raises(UserCodeError, match=r"nets\.py:13 \(`self\.rate = 1 / 0`\): ZeroDivisionError"):
        made("nets:Unlucky")


@pytest.mark.usefixtures("nets")
def test_what_gives_no_module_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gives a `str`, but an `nn.Module` is needed"):
        made("nets:text")


class TwoInputs(nn.Module):
    def forward(self, image: Tensor, mask: Tensor, scale: float = 1.0) -> Tensor:
        return image * mask * scale


def test_prepared_tensors_take_the_names_of_the_forward() -> None:
    assert input_names(TwoInputs(), tensors("a", "b")) == ["image", "mask"]


def test_the_same_names_in_another_order_are_refused_and_not_swapped() -> None:
    assert input_names(TwoInputs(), tensors("image", "mask")) == ["image", "mask"]
    with pytest.raises(ConfigError, match="in another order") as caught:
        input_names(TwoInputs(), tensors("mask", "image"))
    assert caught.value.hint == "write `data.fields.inputs=image,mask`"


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c", "d"]])
def test_too_few_and_too_many_inputs_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"the network's forward takes `image`, `mask`, but the data has `a`"):
        input_names(TwoInputs(), tensors(*names))


def test_columns_of_a_table_keep_their_names() -> None:
    schema = Schema((Column("age", "number"),), (TensorSpec("numbers", "float32", (1,)),), Target("y", "number"))
    assert input_names(nn.Linear(1, 1), schema) == ["numbers"]


def test_the_models_schema_has_the_graphs_names_everywhere() -> None:
    schema = renamed_inputs(tensors("a", "b"), ["image", "mask"])
    assert [spec.name for spec in schema.inputs] == ["image", "mask"]
    assert [column.name for column in schema.columns] == ["image", "mask"]


def test_outputs_get_names_whatever_holds_them() -> None:
    x, y = torch.zeros(2), torch.ones(2)
    pair = namedtuple("pair", ["mean", "scale"])
    assert list(outputs_by_name(x)) == ["output"]
    assert list(outputs_by_name([x])) == ["output"]
    assert list(outputs_by_name((x, y))) == ["output_0", "output_1"]
    assert list(outputs_by_name(pair(x, y))) == ["mean", "scale"]
    assert list(outputs_by_name({"loss": x, "logits": y})) == ["loss", "logits"]


@pytest.mark.parametrize("answer", [3.0, None, {}, [], {"a": 1.0}, (torch.zeros(1), "text")])
def test_what_is_no_tensor_is_refused(answer: Any) -> None:
    with pytest.raises(ConfigError, match="but tensors are needed"):
        outputs_by_name(answer)


class WithFrozenNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4).eval()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() < 0:
            raise ValueError("negative")
        return self.drop(self.norm(x))


def test_probing_leaves_every_part_in_the_mode_it_had() -> None:
    network = WithFrozenNorm().train()
    network.norm.eval()
    assert torch.equal(answer_of(network, [torch.ones(3, 4)]), answer_of(network, [torch.ones(3, 4)]))
    assert (network.training, network.norm.training, network.drop.training) == (True, False, True)


def test_a_forward_that_raises_leaves_the_mode_too_and_names_its_line() -> None:
    network = WithFrozenNorm().train()
    with pytest.raises(
        UserCodeError, match=r"the network's forward failed at .*test_network\.py.*ValueError: negative"
    ):
        answer_of(network, [-torch.ones(3, 4)])
    assert network.training
    assert network.drop.training


def test_evaluation_mode_holds_within_the_block() -> None:
    network = WithFrozenNorm().train()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert network.drop.training


@pytest.mark.usefixtures("nets")
def test_a_module_under_an_import_path_is_copied() -> None:
    first, second = made("nets:ready"), made("nets:ready")
    with torch.no_grad():
        next(first.parameters()).add_(1.0)
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


@pytest.mark.usefixtures("nets")
def test_two_words_for_the_network_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`model\.name=cnn` and `model\.target=nets:make` both say which network"):
        check_network(ModelConfig(name="cnn", target="nets:make"))
