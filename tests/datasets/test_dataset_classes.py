"""Names of classes: those of the data, those that are asked for, and those that no row has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_testing import Heard, add, is_empty, write_table

from mltool.artifacts.store import Store
from mltool.core.errors import ConfigError
from mltool.datasets.config import DataConfig
from mltool.datasets.dataset import write_dataset
from mltool.datasets.readers import arrays, table

# Axes: N rows


def test_names_for_counted_classes_are_kept_and_must_be_as_many(store: Store) -> None:
    named = {"inputs": np.random.default_rng(0).normal(size=(30, 2)).astype("f4"), "labels": np.arange(30) % 2}
    config = DataConfig(source="x.npz", classes=("no", "yes"))
    assert write_dataset(arrays.understand(named, config), config, store, "x").schema.target.classes == ("no", "yes")
    config = DataConfig(source="x.npz", classes=("no",))
    with pytest.raises(ConfigError, match=r"`data\.classes` names 1 classes, but the data has 2"):
        write_dataset(arrays.understand(named, config), config, store, "x")


@pytest.mark.parametrize("form", ["arrays", "table"])
def test_names_for_every_code_make_room_for_classes_that_the_data_lacks(
    form: str, store: Store, tmp_path: Path, heard: Heard
) -> None:
    codes = np.array([0, 2, 3] * 20)
    config = DataConfig(source="x", label="y", label_kind="class", classes=("none", "few", "some", "many"))
    if form == "arrays":
        source: Any = arrays.understand({"x": np.ones((60, 2), "f4") * codes[:, None], "y": codes}, config)
    else:
        (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i / 7},{code}\n" for i, code in enumerate(codes)))
        source = table.read(config, tmp_path / "t.csv")
    dataset = write_dataset(source, config, store, "x")
    assert dataset.schema.target.classes == ("none", "few", "some", "many")
    assert set(np.unique(dataset.split("train").target)) == {0, 2, 3}
    assert "no training row has the class `few`" in heard.text


def test_classes_that_have_names_are_not_renamed(tmp_path: Path, store: Store) -> None:
    with pytest.raises(ConfigError, match="here one is called `cat` already"):
        add(write_table(tmp_path), store, classes=("hound", "tom"))
    assert is_empty(store.artifacts)


def test_classes_that_have_names_take_the_order_that_is_asked_for(tmp_path: Path, store: Store) -> None:
    usual, turned = (add(write_table(tmp_path), store, classes=names) for names in (("cat", "dog"), ("dog", "cat")))
    assert turned.schema.target.classes == ("dog", "cat")
    assert (1 - usual.split("train").target).tolist() == turned.split("train").target.tolist()


@pytest.mark.parametrize(("names", "problem"), [("aba", "two classes `a`"), (("a", " "), "a class without a name")])
def test_two_classes_of_one_name_are_refused(names: Any, problem: str, store: Store) -> None:
    named = {"x": np.ones((30, 2), "f4"), "y": np.arange(30) % len(names)}
    config = DataConfig(source="x.npz", classes=tuple(names))
    with pytest.raises(ConfigError, match=problem):
        write_dataset(arrays.understand(named, config), config, store, "x")


def test_a_class_without_training_rows_is_noted(store: Store) -> None:
    named = {
        f"{split}_{what}": np.ones((20, 2), "f4") if what == "inputs" else np.arange(20) % num_classes
        for split, num_classes in {"train": 2, "validation": 2, "test": 3}.items()
        for what in ("inputs", "labels")
    }
    config = DataConfig(source="x.npz", classes=("no", "yes", "perhaps"))
    notes = write_dataset(arrays.understand(named, config), config, store, "x").notes
    assert "no training row has the class `perhaps`: it cannot be learned; give more rows of it" in notes


def test_names_that_the_data_has_are_not_given_to_other_classes(store: Store) -> None:
    named = {"x": np.arange(20, dtype="f4").reshape(10, 2), "y": np.arange(10) % 2}
    config = DataConfig(source="x.npz", classes=("1", "0"))
    with pytest.raises(ConfigError, match="the name that another has in the data"):
        write_dataset(arrays.understand(named, config), config, store, "x")


def test_names_for_the_classes_that_there_are_need_none_for_the_codes_between(store: Store) -> None:
    codes = np.array([0, 2, 3] * 20)
    config = DataConfig(source="x", classes=("none", "few", "many"))
    kept = write_dataset(arrays.understand({"x": np.ones((60, 2), "f4"), "y": codes}, config), config, store, "x")
    assert kept.schema.target.classes == ("none", "few", "many"), "names for the classes that there are"
    assert sum(len(kept.split(name)) for name in ("train", "validation", "test")) == 60
    assert kept.artifact.manifest.facts["num_damaged"] == 0
