from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fit_testing import make_fit, mlp, plain, weights_digest, without_seconds
from torch import nn

from mltool.core import host
from mltool.datasets.columns import Columns, column_writers, open_columns
from mltool.datasets.schema import Column, ImageSpec, Schema, Target, TensorSpec
from mltool.modeling import preprocess
from mltool.modeling.training.feed import MappedFeed, MemoryFeed, aligned, make_feed

# Axes: N samples

NUM_ROWS = 231


def written(folder: Path, **columns: np.ndarray) -> Columns:
    with column_writers(folder, {name: (c.dtype, c.shape[1:]) for name, c in columns.items()}) as writers:
        for name, column in columns.items():
            writers[name].append(column)
    return open_columns(folder, [name for name in columns if name != "target"])


@pytest.fixture
def table(tmp_path: Path) -> tuple[Columns, Schema]:
    generator = np.random.default_rng(0)
    numbers = generator.normal(3.0, 5.0, (NUM_ROWS, 9)).astype(np.float32)
    numbers[generator.random(numbers.shape) < 0.1] = np.nan
    columns = written(
        tmp_path / "table",
        numbers=numbers,
        tensor=generator.normal(size=(NUM_ROWS, 4)).astype(np.float32),
        target=generator.integers(0, 3, NUM_ROWS),
    )
    schema = Schema(
        columns=(*(Column(f"n{i}", "number") for i in range(9)), Column("tensor", "tensor")),
        inputs=(TensorSpec("numbers", "float32", (9,)), TensorSpec("tensor", "float32", (4,))),
        target=Target("y", "class", tuple("abc")),
    )
    return columns, schema


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Columns, Schema]:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (NUM_ROWS, 1, 6, 6), dtype=np.uint8)
    columns = written(tmp_path / "pictures", image=image, target=generator.integers(0, 3, NUM_ROWS))
    schema = Schema(
        columns=(Column("image", "image"),),
        inputs=(TensorSpec("image", "uint8", (1, 6, 6)),),
        target=Target("y", "class", tuple("abc")),
        image=ImageSpec(1, 6, 6),
    )
    return columns, schema


def both(columns: Columns, schema: Schema) -> tuple[MemoryFeed, MappedFeed]:
    modules = preprocess.fit(schema, columns)
    memory = make_feed(columns, schema, modules, (0.0, 1.0))
    assert isinstance(memory, MemoryFeed)
    return memory, MappedFeed(columns, [spec.name for spec in schema.inputs], modules, memory.target)


@pytest.mark.parametrize("kind", ["table", "pictures"])
def test_mapped_and_prepared_samples_are_equal_to_the_last_bit(kind: str, request: pytest.FixtureRequest) -> None:
    memory, mapped = both(*request.getfixturevalue(kind))
    assert len(memory) == len(mapped) == NUM_ROWS
    for rows_N in (np.arange(NUM_ROWS), np.array([200, 0, 0, 7]), np.array([], np.int64)):
        inputs, target_N = memory.gather(rows_N)
        others, other_target_N = mapped.gather(rows_N)
        assert torch.equal(target_N, other_target_N)
        for one, other in zip(inputs, others, strict=True):
            assert one.dtype == other.dtype == torch.float32
            assert torch.equal(one, other)


class Joined(nn.Module):
    """Takes numbers and a tensor, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()

    def forward(self, numbers: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
        return self.inner(torch.cat([numbers, tensor], 1))


@pytest.mark.parametrize("num_threads", [1, 2])
def test_training_from_the_disk_gives_the_same_losses_and_bits(
    tmp_path: Path, table: tuple[Columns, Schema], num_threads: int
) -> None:
    torch.set_num_threads(num_threads)
    results = []
    for index, feed in enumerate(both(*table)):
        fit = make_fit(tmp_path / str(index), plain(), checkpoint_every_s=0.0)
        fit = dataclasses.replace(fit, network=Joined(), train=feed, validation=feed)
        results.append((without_seconds(fit.run()), weights_digest(fit.network)))
    assert results[0] == results[1]


def test_a_mapped_feed_never_hands_out_the_columns_themselves(table: tuple[Columns, Schema]) -> None:
    _, mapped = both(*table)
    first, _ = mapped.gather(np.arange(3))
    first[1].fill_(7.0)
    assert not torch.equal(mapped.gather(np.arange(3))[0][1], first[1])


def test_mapped_samples_lie_at_addresses_like_those_of_whole_tensors(table: tuple[Columns, Schema]) -> None:
    columns, _ = table
    mapped = MappedFeed(columns, ["numbers", "tensor"], [preprocess.Identity()] * 2, torch.zeros(NUM_ROWS))
    gathered = [mapped.gather(np.arange(rows))[0] for rows in range(1, 60)]  # kept: each has an address of its own
    assert all(tensor.data_ptr() % 64 == 0 for inputs in gathered for tensor in inputs)


@pytest.mark.parametrize(("share", "kind"), [(0.2, MemoryFeed), (0.3, MappedFeed)])
def test_samples_are_prepared_once_while_they_take_a_quarter_of_the_memory(
    pictures: tuple[Columns, Schema], monkeypatch: pytest.MonkeyPatch, share: float, kind: type
) -> None:
    columns, schema = pictures
    prepared_bytes = NUM_ROWS * 36 * 4  # of uint8, but float32 when they are prepared
    monkeypatch.setattr(host, "available_memory_bytes", lambda: int(prepared_bytes / share))
    assert type(make_feed(columns, schema, preprocess.unfitted(schema), (0.0, 1.0))) is kind


def test_numbers_to_predict_are_brought_to_their_scale_and_classes_are_not(tmp_path: Path) -> None:
    x = np.zeros((4, 1), np.float32)
    schema = Schema((Column("x", "tensor"),), (TensorSpec("x", "float32", (1,)),), Target("y", "number"))
    numbers = written(tmp_path / "a", x=x, target=np.array([1, 3, 5, 7], np.float32))
    feed = make_feed(numbers, schema, [preprocess.Identity()], (4.0, 2.0))
    assert feed.target.tolist() == [-1.5, -0.5, 0.5, 1.5]
    codes = written(tmp_path / "b", x=x, target=np.array([0, 1, 2, 1]))
    assert make_feed(codes, schema, [preprocess.Identity()], (4.0, 2.0)).target.tolist() == [0, 1, 2, 1]


def test_a_split_without_rows_has_no_samples(tmp_path: Path, table: tuple[Columns, Schema]) -> None:
    _, schema = table
    empty: dict[str, Any] = {"numbers": np.empty((0, 9), np.float32), "tensor": np.empty((0, 4), np.float32)}
    columns = written(tmp_path / "empty", **empty, target=np.empty(0, np.int64))
    assert len(make_feed(columns, schema, [preprocess.Identity(), preprocess.Identity()], (0.0, 1.0))) == 0


def test_samples_are_prepared_in_chunks_without_a_gap(tmp_path: Path) -> None:
    image = np.arange(600, dtype=np.int64).astype(np.uint8)[:, None, None, None] + np.zeros((1, 1, 96, 128), np.uint8)
    schema = Schema(
        columns=(Column("image", "image"),),
        inputs=(TensorSpec("image", "uint8", (1, 96, 128)),),
        target=Target("y", "class", tuple("abc")),
        image=ImageSpec(1, 96, 128),
    )
    columns = written(tmp_path, image=image, target=np.zeros(600, np.int64))  # 7 MiB: two chunks
    feed = make_feed(columns, schema, preprocess.unfitted(schema), (0.0, 1.0))
    inputs, _ = feed.gather(np.arange(600))
    assert torch.allclose(inputs[0], torch.from_numpy(image).float() / 255.0, rtol=1e-6, atol=0.0)


def test_a_tensor_is_copied_only_if_its_address_is_odd() -> None:
    whole = torch.arange(64, dtype=torch.float32)
    assert aligned(whole) is whole
    assert aligned(whole[16:]).data_ptr() == whole[16:].data_ptr()
    part = aligned(whole[3:])
    assert part.data_ptr() % 64 == 0
    assert torch.equal(part, whole[3:])
