from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mltool.core.errors import ConfigError, DataError
from mltool.datasets.config import DataConfig
from mltool.datasets.source import SPLITS, Source
from mltool.modeling.sources.tensors import read as read_pt
from mltool.modeling.tensor_files import as_array

IMAGES = torch.arange(12 * 16, dtype=torch.float32).reshape(12, 1, 4, 4)
LABELS = torch.arange(12) % 3


def read(content: Any, folder: Path, **config: Any) -> Source:
    path = folder / "data.pt"
    torch.save(content, path)
    return read_pt(DataConfig(source=str(path), **config), path)


def rows(source: Source, numbers: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    numbers = np.asarray(numbers)
    (batch,) = source.batches(numbers, source.schema(numbers))
    return batch


@pytest.mark.parametrize(
    "content",
    [
        {"images": IMAGES, "labels": LABELS},
        {"images": IMAGES, "labels": LABELS, "made": "2024", "version": 3},
        (IMAGES, LABELS),
        [IMAGES, LABELS],
    ],
    ids=["dictionary", "dictionary with notes", "tuple", "list"],
)
def test_tensors_are_found_in_every_usual_form(content: Any, tmp_path: Path) -> None:
    source = read(content, tmp_path)
    inputs, target = rows(source, [1, 5])
    assert np.array_equal(inputs["image"], IMAGES[[1, 5]].numpy())
    assert target.tolist() == [1, 2]
    assert source.schema(np.arange(12)).target.classes == ("0", "1", "2")


def test_the_splits_of_a_file_are_kept(tmp_path: Path) -> None:
    source = read(
        {
            "train_images": IMAGES[:8],
            "train_targets": LABELS[:8],
            "test_images": IMAGES[8:],
            "test_targets": LABELS[8:],
        },
        tmp_path,
    )
    assert {name: len(numbers) for name, numbers in source.splits.items()} == {"train": 8, "test": 4}


def test_a_single_tensor_has_no_labels_and_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot tell what the arrays .*it holds `data` float32 \[12, 1, 4, 4\]"):
        read(IMAGES, tmp_path)


def test_a_single_tensor_can_be_its_own_target(tmp_path: Path) -> None:
    source = read(IMAGES, tmp_path, fields={"inputs": "data", "labels": "data"})
    inputs, target = rows(source, [3])
    assert np.array_equal(target, inputs["image"])
    assert source.schema(np.arange(12)).target.kind == "tensor"


@pytest.mark.parametrize("content", [{}, [IMAGES], [(IMAGES, 1)], "text", {"images": [1, 2]}, 3.0])
def test_what_holds_no_named_tensors_says_what_it_is(content: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"holds a `{type(content).__name__}`, but named tensors are needed"):
        read(content, tmp_path)


def test_a_second_file_is_the_test_split(tmp_path: Path) -> None:
    torch.save((IMAGES[8:], LABELS[8:]), tmp_path / "test.pt")
    source = read((IMAGES[:8], LABELS[:8]), tmp_path, test=str(tmp_path / "test.pt"))
    assert sorted(source.splits) == ["test", "train"]
    assert rows(source, source.splits["test"])[1].tolist() == LABELS[8:].tolist()
    assert set(source.splits) <= set(SPLITS)


def test_fields_may_name_what_two_files_hold_together(tmp_path: Path) -> None:
    names = {"train_inputs": "train_a", "train_labels": "train_b", "test_inputs": "test_a", "test_labels": "test_b"}
    torch.save({"a": IMAGES[8:], "b": LABELS[8:]}, tmp_path / "test.pt")
    source = read({"a": IMAGES[:8], "b": LABELS[:8]}, tmp_path, test=str(tmp_path / "test.pt"), fields=names)
    assert len(source.splits["test"]) == 4


def test_several_inputs_keep_their_names_and_order(tmp_path: Path) -> None:
    content = {"left": IMAGES, "right": IMAGES + 1, "labels": LABELS}
    source = read(content, tmp_path, fields={"inputs": "right,left", "labels": "labels"})
    assert [spec.name for spec in source.schema(np.arange(12)).inputs] == ["right", "left"]
    with pytest.raises(ConfigError, match="`middle`, which is not in"):
        read(content, tmp_path, fields={"inputs": "middle"})


def test_bfloat16_and_tensors_that_need_gradients_become_arrays() -> None:
    assert as_array(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert as_array(torch.ones(2, requires_grad=True)).tolist() == [1.0, 1.0]


def test_splits_in_dictionaries_of_their_own_are_understood(tmp_path: Path) -> None:
    content = {"train": {"x": IMAGES[:8], "y": LABELS[:8]}, "test": {"x": IMAGES[8:], "y": LABELS[8:]}}
    source = read(content, tmp_path)
    assert {name: len(rows) for name, rows in source.splits.items()} == {"train": 8, "test": 4}
