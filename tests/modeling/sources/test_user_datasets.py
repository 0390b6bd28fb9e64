from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mltool.core.errors import ConfigError, DataError, UserCodeError
from mltool.datasets.config import DataConfig
from mltool.datasets.readers.array_source import ArraySource
from mltool.modeling.sources import target

pytestmark = pytest.mark.usefixtures("code")

CODE = """
    import numpy as np
    import torch
    from PIL import Image
    from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

    class Squares(Dataset):
        '''Hand-written: grey squares, whose class is their brightness.'''
        def __init__(self, n=12, form="tensor"):
            self.n, self.form = n, form
        def __len__(self):
            return self.n
        def __getitem__(self, i):
            x = torch.full((1, 4, 4), float(i % 3))
            label = {"tensor": torch.tensor(i % 3), "numpy": np.int64(i % 3)}.get(self.form, i % 3)
            if self.form == "picture":
                x = Image.fromarray(np.full((4, 4), i % 3, np.uint8))
            if self.form == "growing":
                x = torch.zeros(1, 4, 4 + i)
            if self.form == "broken" and i == 5:
                raise OSError("disk 5 is gone")
            if self.form == "dict":
                return {"x": x, "y": label}
            if self.form == "text":
                return "a picture", label
            return x, label

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(())

    class Shaken(Squares):
        def __getitem__(self, i):
            x, label = super().__getitem__(i)
            return x + torch.rand(()), label

    def shaken():
        return Shaken(12)

    def corrupt_mnist(n=12):
        return Squares(n), Squares(6)

    def tensors():
        return TensorDataset(torch.arange(12.0)[:, None], torch.arange(12) % 2)

    def three():
        return [Squares(12), Squares(3), Squares(6)]

    def named():
        return {"train": Squares(12), "val": Squares(3)}

    def subset():
        return Subset(Squares(20), range(3, 15))

    def four():
        return [Squares()] * 4

    def nothing():
        return None

    def stream():
        return Stream()

    def failing():
        raise FileNotFoundError("data/raw is empty")

    ready = Squares(9)

    def of(form):
        return Squares(12, form)

    def empty():
        return Squares(0)
"""


@pytest.fixture
def code(write: Callable[[str, str], Path]) -> None:
    write("corn_data/data.py", CODE)


def read(name: str, **args: Any) -> ArraySource:
    source = target.read(DataConfig(target=f"corn_data.data:{name}", args=args))
    assert isinstance(source, ArraySource)
    return source


def sizes(source: ArraySource) -> dict[str, int]:
    return {name: len(rows) for name, rows in source.splits.items()}


def test_one_dataset_is_left_to_be_split() -> None:
    assert (sizes(read("tensors")), read("tensors").num_rows) == ({}, 12)
    assert read("ready").num_rows == 9
    assert read("subset").num_rows == 12


def test_two_datasets_are_train_and_test() -> None:
    assert sizes(read("corrupt_mnist")) == {"train": 12, "test": 6}


def test_three_datasets_are_train_validation_and_test() -> None:
    assert sizes(read("three")) == {"train": 12, "validation": 3, "test": 6}


def test_a_dictionary_names_its_splits() -> None:
    assert sizes(read("named")) == {"train": 12, "validation": 3}


def test_arguments_reach_the_callable() -> None:
    assert sizes(read("corrupt_mnist", n=24)) == {"train": 24, "test": 6}


@pytest.mark.parametrize("form", ["tensor", "numpy", "int", "picture"])
def test_samples_of_a_hand_written_dataset_are_read_in_order(form: str) -> None:
    source = read("of", form=form)
    (batch,) = source.batches(np.arange(12), source.schema(np.arange(12)))
    inputs, target = batch
    assert target.tolist() == [i % 3 for i in range(12)]
    assert inputs["image"].reshape(12, -1)[:, 0].tolist() == [i % 3 for i in range(12)]


def test_pictures_without_a_transform_stay_pixels() -> None:
    schema = read("of", form="picture").schema(np.arange(12))
    assert (schema.inputs[0].dtype, schema.inputs[0].shape) == ("uint8", (1, 4, 4))


@pytest.mark.parametrize("name", ["four", "nothing", "stream"])
def test_what_is_not_one_to_three_datasets_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"`data.target=corn_data.data:{name}` returns a `\w+`, but one to three"):
        read(name)


def test_a_callable_that_raises_shows_the_users_line() -> None:
    with pytest.raises(UserCodeError, match=r"`corn_data.data:failing` failed at corn_data/data\.py:\d+ \(`raise File"):
        read("failing")


def test_a_sample_that_raises_is_named_with_its_line() -> None:
    with pytest.raises(UserCodeError, match=r"sample 5 of .* at corn_data/data\.py:\d+ .*OSError: disk 5 is gone"):
        read("of", form="broken")


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("dict", r"sample 0 of .* is a `dict`, but \(input, label\) is needed"),
        ("text", r"sample 0 of .* holds a `str`, but tensors are needed"),
        ("growing", r"gives inputs of different shapes, such as \[1, 4, 4\] and \[1, 4, 5\]"),
    ],
)
def test_samples_that_cannot_be_stacked_are_refused(form: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        read("of", form=form)


def test_a_dataset_without_samples_is_refused() -> None:
    with pytest.raises(DataError, match="gives a dataset without samples"):
        read("empty")


def test_messages_speak_of_the_callable_and_not_of_the_default_source() -> None:
    with pytest.raises(ConfigError, match=r"is not in `corn_data.data:tensors`"):
        target.read(DataConfig(target="corn_data.data:tensors", fields={"inputs": "pixels"}))


def test_samples_that_differ_each_time_are_warned_of(said: list[str]) -> None:
    read("shaken")
    assert [text for text in said if "gives sample 0 differently each time" in text]
    said.clear()
    read("of", form="tensor")
    assert not said
