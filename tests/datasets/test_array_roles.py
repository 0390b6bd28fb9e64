from __future__ import annotations

import numpy as np
import pytest

from mltool.core.errors import ConfigError, DataError
from mltool.datasets.config import DataConfig
from mltool.datasets.readers import arrays
from mltool.datasets.readers.array_roles import INPUT_WORDS, LABEL_WORDS, input_names, parse

CONFIG = DataConfig(source="digits.npz")
LABELS = np.array([0, 1, 0, 1, 2, 2])


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


def decoded(source: arrays.ArraySource) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rows = np.arange(source.num_rows)
    [(inputs, target_N)] = source.batches(rows, source.schema(rows))
    return inputs, target_N


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("train_data", ("train", "inputs")),
        ("X_train", ("train", "inputs")),
        ("trainX", ("train", "inputs")),
        ("xtrain", ("train", "inputs")),
        ("y_val", ("validation", "labels")),
        ("validation_labels", ("validation", "labels")),
        ("Targets-Test", ("test", "labels")),
        ("testTargets", ("test", "labels")),
        ("images", ("", "inputs")),
        ("label", ("", "labels")),
        ("latest", ("", "")),
        ("weights", ("", "")),
        ("train_ids", ("train", "")),
    ],
)
def test_a_name_says_split_and_role(name: str, meaning: tuple[str, str]) -> None:
    assert parse(name)[:2] == meaning


def test_every_known_word_is_known_with_every_split_on_either_side() -> None:
    for words, role in ((INPUT_WORDS, "inputs"), (LABEL_WORDS, "labels")):
        for word in words:
            for name in (f"test_{word}", f"{word}_test", f"{word}Test", f"TEST_{word.upper()}"):
                assert parse(name)[:2] == ("test", role), name


def test_splits_are_found_by_name() -> None:
    source = arrays.understand(
        {
            "train_data": floats(6, 1, 4, 4),
            "train_labels": LABELS,
            "test_data": floats(2, 1, 4, 4),
            "test_labels": LABELS[:2],
        },
        CONFIG,
    )
    assert {name: rows.tolist() for name, rows in source.splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "test": [6, 7],
    }
    inputs, codes = decoded(source)
    assert inputs["image"].shape == (8, 1, 4, 4)
    assert codes.tolist() == [0, 1, 0, 1, 2, 2, 0, 1]
    assert "`train_data` float64 [6, 1, 4, 4], labels `train_labels` int64 [6]" in source.notes[0]


def test_a_pair_without_a_split_is_trained_on_when_there_is_a_test_pair() -> None:
    source = arrays.understand({"x": floats(6, 3), "y": LABELS, "x_test": floats(2, 3), "y_test": LABELS[:2]}, CONFIG)
    assert {name: len(rows) for name, rows in source.splits.items()} == {"train": 6, "test": 2}


def test_unnamed_arrays_are_told_apart_by_shape() -> None:
    source = arrays.understand({"arr_0": floats(6, 3), "arr_1": LABELS}, CONFIG)
    assert source.splits == {}
    assert list(decoded(source)[0]) == ["numbers"]


def test_the_names_of_the_classes_are_not_taken_for_labels() -> None:
    names = np.array(["a", "b", "c"])
    source = arrays.understand({"images": floats(6, 4, 4), "labels": LABELS, "classes": names}, CONFIG)
    assert source.notes[-1] == "not used: `classes` <U1 [3]"


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"x": floats(6, 2)},
        {"images": floats(6, 2), "features": floats(6, 2), "labels": LABELS},
        {"a": floats(6, 2), "b": LABELS, "c": LABELS},
        {"x": floats(6, 2), "y": LABELS, "x_train": floats(6, 2), "y_train": LABELS},
    ],
)
def test_what_is_unclear_is_listed_and_never_guessed(found: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match=r"cannot tell what the arrays of `digits.npz` are") as caught:
        arrays.understand(found, CONFIG)
    assert all(f"`{name}` {array.dtype} {list(array.shape)}" in caught.value.message for name, array in found.items())
    assert "data.fields.inputs=NAME" in (caught.value.hint or "")


def test_the_users_word_beats_names() -> None:
    found = {"images": floats(6, 2), "features": floats(6, 5), "labels": LABELS, "other": LABELS[::-1]}
    config = DataConfig(fields={"inputs": "features", "labels": "other"})
    inputs, codes = decoded(arrays.understand(found, config))
    assert inputs["numbers"].shape == (6, 5)
    assert codes.tolist() == LABELS[::-1].tolist()


def test_data_label_names_the_array_of_labels() -> None:
    found = {"images": floats(6, 2), "fine": LABELS, "coarse": LABELS // 2}
    source = arrays.understand(found, DataConfig(label="coarse"))
    assert source.schema(np.arange(6)).target.classes == ("0", "1")


def test_several_inputs_keep_their_names() -> None:
    found = {"left_train": floats(6, 4, 4), "right_train": floats(6, 3), "y_train": LABELS}
    source = arrays.understand(found, DataConfig(fields={"train_inputs": "left_train,right_train"}))
    schema = source.schema(np.arange(6))
    assert [(spec.name, spec.shape) for spec in schema.inputs] == [("left", (4, 4)), ("right", (3,))]
    assert [(column.name, column.kind) for column in schema.columns] == [("left", "tensor"), ("right", "tensor")]
    assert decoded(source)[0]["right"].dtype == np.float32


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train_input": "x"}, "unknown role `data.fields.train_input`"),
        ({"inputs": "images"}, "names `images`, which is not in"),
        ({"labels": "x,y"}, "names several arrays"),
        ({"labels": "size"}, "single value"),
    ],
)
def test_fields_that_do_not_fit_are_an_error_of_the_user(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        arrays.understand({"x": floats(6, 2), "y": LABELS, "size": np.array(3)}, DataConfig(fields=fields))
    if "train_input" in fields:
        assert caught.value.hint == "did you mean `train_inputs`?"


@pytest.mark.parametrize(
    ("arrays_by_user", "names"),
    [
        (["../../x", "/etc/y"], ["x", "etc_y"]),
        (["../..", "///"], ["input_1", "input_2"]),
        (["target", "input_1", "input_2"], ["input_1", "input_2", "input_3"]),
        (["../x", "x"], ["x", "input_2"]),
        (["Target"], ["input_1"]),
    ],
)
def test_names_of_inputs_stay_in_their_folder_and_apart(arrays_by_user: list[str], names: list[str]) -> None:
    assert input_names(arrays_by_user) == names


def test_an_input_called_target_or_a_path_gets_a_harmless_name() -> None:
    found = {"target": floats(6, 3), "../../left": floats(6, 4), "y": LABELS}
    fields = {"inputs": "target,../../left", "labels": "y"}
    source = arrays.understand(found, DataConfig(fields=fields))
    assert [spec.name for spec in source.schema(np.arange(6)).inputs] == ["input_1", "left"]
