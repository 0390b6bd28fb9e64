from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mltool.core.errors import ConfigError
from mltool.datasets.schema import Column, ImageSpec, Schema, Target, TensorSpec
from mltool.modeling.config import ModelConfig
from mltool.modeling.network import default_network, make_network

CLASSES = Target("label", "class", ("a", "b", "c"))


def picture_schema(*shape: int) -> Schema:
    image = ImageSpec(*shape) if len(shape) == 3 else None
    spec = TensorSpec("image", "uint8" if image else "float32", shape)
    return Schema((Column("image", "image" if image else "tensor"),), (spec,), CLASSES, image)


def table_schema(num_numbers: int, *vocabularies: int) -> Schema:
    numbers = [Column(f"n{i}", "number") for i in range(num_numbers)]
    categories = [Column(f"c{i}", "category", tuple(map(str, range(size)))) for i, size in enumerate(vocabularies)]
    inputs = [TensorSpec("numbers", "float32", (num_numbers,))] if numbers else []
    inputs += [TensorSpec("categories", "int64", (len(categories),))] if categories else []
    return Schema((*numbers, *categories), tuple(inputs), Target("price", "number"))


@given(st.sampled_from([1, 3]), st.integers(1, 70), st.integers(1, 70), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_the_cnn_takes_pictures_of_any_size(channels: int, height: int, width: int, num_samples: int) -> None:
    network = make_network(ModelConfig(name="cnn", args={"hidden": 4}), picture_schema(channels, height, width), 0)
    assert network.eval()(torch.rand(num_samples, channels, height, width)).shape == (num_samples, 3)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 20), (3, 64, 64)])
def test_the_resnet_takes_small_and_large_pictures(shape: tuple[int, int, int]) -> None:
    network = make_network(ModelConfig(name="resnet", args={"hidden": 4, "depth": 1}), picture_schema(*shape), 0)
    assert network.eval()(torch.rand(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_prepared_grey_pictures_need_no_channel_axis(name: str) -> None:
    network = make_network(ModelConfig(name=name, args={"hidden": 4}), picture_schema(12, 12), 0)
    assert network.eval()(torch.rand(2, 12, 12)).shape == (2, 3)


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_a_picture_network_says_so_when_it_gets_a_table(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"`model.name={name}` needs pictures, but the data has `numbers` \[4\]"):
        make_network(ModelConfig(name=name), table_schema(4), 0)


def test_the_mlp_embeds_every_category_and_knows_the_unknown() -> None:
    network = make_network(ModelConfig(name="mlp"), table_schema(2, 5, 9), 0).eval()
    numbers = torch.zeros(3, 2)
    codes = torch.tensor([[0, 0], [5, 9], [1, 1]])
    answers = network(numbers, codes)
    assert answers.shape == (3, 1)
    assert len(answers.unique()) == 3, "the categories must change the answer"


def test_the_mlp_takes_categories_alone_and_flattens_pictures() -> None:
    assert make_network(ModelConfig(name="mlp"), table_schema(0, 3), 0)(torch.tensor([[1]])).shape == (1, 1)
    assert make_network(ModelConfig(name="mlp"), picture_schema(1, 4, 4), 0)(torch.rand(2, 1, 4, 4)).shape == (2, 3)


def test_tables_get_the_mlp_and_pictures_the_cnn() -> None:
    assert default_network(table_schema(3)) == "mlp"
    assert default_network(picture_schema(1, 8, 8)) == "cnn"
    assert default_network(picture_schema(8, 8)) == "mlp", "a plain matrix need not be a picture"


def test_an_argument_that_a_network_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match="network `mlp` has no argument `hiden`") as caught:
        make_network(ModelConfig(name="mlp", args={"hiden": 3}), table_schema(2), 0)
    assert caught.value.hint == "it has hidden, depth, dropout"


def test_an_argument_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="network `mlp` cannot be built with"):
        make_network(ModelConfig(name="mlp", args={"hidden": "many"}), table_schema(2), 0)


def test_the_seed_decides_the_weights() -> None:
    first, same, other = (make_network(ModelConfig(name="mlp"), table_schema(2), seed) for seed in (3, 3, 4))
    for a, b, c in zip(first.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
