from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mltool.core.errors import ConfigError, DataError
from mltool.datasets.config import DataConfig
from mltool.datasets.readers import arrays
from mltool.datasets.readers.array_roles import INPUT_WORDS, LABEL_WORDS
from mltool.datasets.schema import ImageSpec, Schema

CONFIG = DataConfig(source="digits.npz")
LABELS = np.array([0, 1, 0, 1, 2, 2])


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


def all_rows(source: arrays.ArraySource, schema: Schema | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rows = np.arange(source.num_rows)
    batches = list(source.batches(rows, schema or source.schema(rows)))
    inputs = {name: np.concatenate([batch[name] for batch, _ in batches]) for name in batches[0][0]}
    return inputs, np.concatenate([target for _, target in batches])


def understood(inputs: np.ndarray, labels: np.ndarray = LABELS) -> tuple[arrays.ArraySource, Schema]:
    source = arrays.understand({"x": inputs, "y": labels}, CONFIG)
    return source, source.schema(np.arange(source.num_rows))


# Inputs


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_float_pictures_keep_their_shape(dtype: Any) -> None:
    source, schema = understood(floats(6, 28, 27).astype(dtype))
    assert (schema.inputs[0].name, schema.inputs[0].dtype, schema.inputs[0].shape) == ("image", "float32", (28, 27))
    assert (schema.columns[0].kind, schema.image) == ("tensor", None)
    assert all_rows(source)[0]["image"].dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((6, 5, 4), (1, 5, 4)), ((6, 3, 5, 4), (3, 5, 4)), ((6, 5, 4, 3), (3, 5, 4)), ((6, 5, 4, 1), (1, 5, 4))],
)
def test_uint8_pictures_become_channels_height_width(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    source, schema = understood(pixels)
    assert schema.image == ImageSpec(*expected)
    assert (schema.columns[0].kind, schema.inputs[0].dtype) == ("image", "uint8")
    image_NCHW = all_rows(source)[0]["image"]
    assert image_NCHW.shape == (6, *expected)
    assert image_NCHW[2, 0, 4, 3] == (pixels[2, 0, 4, 3] if shape[1] == 3 else pixels[2, 4, 3].flat[0])
    assert any("pictures" in note for note in source.notes) == (shape[1] != 3)


@pytest.mark.parametrize(
    ("inputs", "name", "dtype"),
    [
        (np.arange(24).reshape(6, 4), "tokens", "int64"),
        (np.arange(24, dtype=np.uint8).reshape(6, 4), "numbers", "float32"),
        (np.arange(24).reshape(6, 4) - 5, "numbers", "float32"),
        (np.arange(24).reshape(6, 4) > 5, "numbers", "float32"),
        (np.arange(6) / 7, "numbers", "float32"),
        (np.arange(96).reshape(6, 4, 4), "x", "int64"),
        (np.zeros((6, 2, 2, 2, 2)), "x", "float32"),
        (np.zeros((6, 4, 4, 4), dtype=np.uint8), "image", "uint8"),
    ],
)
def test_inputs_are_named_by_axes_and_type(inputs: np.ndarray, name: str, dtype: str) -> None:
    source, schema = understood(inputs)
    assert [(spec.name, spec.dtype) for spec in schema.inputs] == [(name, dtype)]
    values = all_rows(source)[0][name]
    assert values.dtype == dtype
    assert np.allclose(values.reshape(inputs.shape), inputs)


def test_missing_and_infinite_numbers_are_damage() -> None:
    inputs = floats(6, 3)
    inputs[1, 0], inputs[4, 2], inputs[5, 1] = np.nan, np.inf, 1e300
    source, _ = understood(inputs)
    assert all_rows(source)[1].tolist() == [0, 0, 1]
    assert source.damage.found == [
        ("x[1]", "`x` has a value that is not a number"),
        ("x[4]", "`x` has an infinite value"),
        ("x[5]", "`x` has an infinite value"),
    ]
    assert source.damage.num_seen == 6


def test_a_picture_with_a_missing_pixel_is_damage() -> None:
    inputs = floats(6, 2, 2)
    inputs[3, 0, 1] = np.nan
    source, _ = understood(inputs)
    assert source.num_rows == 5
    assert source.damage.found == [("x[3]", "`x` has a value that is not a number")]


# Labels


@pytest.mark.parametrize(
    ("labels", "classes", "codes"),
    [
        (np.array([3, 7, 3, 10, 7, 10]), ("3", "7", "10"), [0, 1, 0, 2, 1, 2]),
        (np.array([[0], [1], [0], [1], [1], [0]]), ("0", "1"), [0, 1, 0, 1, 1, 0]),
        (np.array([2.0, 1.0, 2.0, 1.0, 1.0, 1.0]), ("1", "2"), [1, 0, 1, 0, 0, 0]),
        (np.array(["dog", "cat", "dog", "cat", "ant", "ant"]), ("ant", "cat", "dog"), [2, 1, 2, 1, 0, 0]),
        (np.array([b"b", b"a", b"b", b"a", b"a", b"a"]), ("a", "b"), [1, 0, 1, 0, 0, 0]),
        (np.array([True, False, True, True, True, True]), ("false", "true"), [1, 0, 1, 1, 1, 1]),
        (np.eye(4, dtype=np.float32)[[0, 1, 3, 3, 1, 0]], ("0", "1", "2", "3"), [0, 1, 3, 3, 1, 0]),
        (np.array([-1, 1, -1, 1, 1, 1], dtype=np.int8), ("-1", "1"), [0, 1, 0, 1, 1, 1]),
    ],
)
def test_labels_become_contiguous_codes(labels: np.ndarray, classes: tuple[str, ...], codes: list[int]) -> None:
    source, schema = understood(floats(6, 2), labels)
    assert (schema.target.kind, schema.target.classes) == ("class", classes)
    target = all_rows(source)[1]
    assert target.dtype == np.int64
    assert target.tolist() == codes
    assert source.stratify_N is not None
    assert source.stratify_N.tolist() == codes


def test_fractions_are_numbers() -> None:
    labels = np.array([0.5, 1.0, 2.0, 3.0, 4.0, np.nan])
    source, schema = understood(floats(6, 2), labels)
    target = all_rows(source)[1]
    assert (schema.target.kind, schema.target.classes, target.dtype) == ("number", (), np.float32)
    assert target.tolist() == [0.5, 1, 2, 3, 4]
    assert source.stratify_N is None
    assert source.damage.found == [("x[5]", "`y` has a value that is not a number")]


def test_mostly_different_whole_numbers_are_numbers_and_it_is_said() -> None:
    source, schema = understood(floats(100, 2), np.arange(100) * 10)
    assert schema.target.kind == "number"
    assert any("100 different values: they are numbers" in note for note in source.notes)


@pytest.mark.parametrize(
    ("labels", "dtype"), [(floats(6, 4, 4), "float32"), (np.ones((6, 3), dtype=np.uint8), "int64")]
)
def test_labels_of_more_axes_are_tensors(labels: np.ndarray, dtype: str) -> None:
    source, schema = understood(floats(6, 2, 2), labels)
    target = all_rows(source)[1]
    assert schema.target.kind == "tensor"
    assert target.dtype == dtype
    assert np.allclose(target, labels)


def test_another_source_is_coded_by_the_classes_of_the_schema() -> None:
    _, schema = understood(floats(6, 2), np.array([3, 7, 3, 7, 9, 9]))
    test, _ = understood(floats(3, 2), np.array([9, 8, 3]))
    assert all_rows(test, schema)[1].tolist() == [2, 0]
    assert all_rows(test, schema)[1].tolist() == [2, 0]
    assert test.damage.found == [("y[1]", "its class is not a class of the dataset")]


# Errors and files


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (floats(6, 2), LABELS[:5], "`x` has 6 rows, but `y` has 5"),
        (floats(0, 2), LABELS[:0], "no row of `digits.npz` can be used"),
        (
            np.full((6, 2), np.inf),
            LABELS,
            r"no row of .* can be used; the first is `x\[0\]`: `x` has an infinite value",
        ),
        (floats(6, 2).astype(np.str_), LABELS, "`x` holds <U32, but inputs are numbers"),
        (floats(6, 2) * 1j, LABELS, "inputs are numbers"),
        (floats(6, 2), np.zeros(6, dtype="datetime64[s]"), "neither numbers nor names"),
        (floats(6, 2), np.array([["a", "b"]] * 6), "more than one name a row"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(inputs: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        arrays.understand({"x": inputs, "y": labels}, CONFIG)


def test_splits_of_different_shapes_are_an_error() -> None:
    found = {"x_train": floats(6, 3), "y_train": LABELS, "x_test": floats(6, 4), "y_test": LABELS}
    with pytest.raises(DataError, match="splits do not fit each other: `x_train` float64"):
        arrays.understand(found, CONFIG)


def test_one_class_is_an_error_of_the_schema() -> None:
    source = arrays.understand({"x": floats(6, 2), "y": np.full(6, 4)}, CONFIG)
    with pytest.raises(DataError, match="are `4`: there is only one class"):
        source.schema(np.arange(6))


def test_an_npz_file_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=floats(6, 2), y=LABELS)
    source = arrays.read(CONFIG, tmp_path / "set.npz")
    assert source.num_rows == 6
    assert source.fingerprint == understood(floats(6, 2))[0].fingerprint
    assert source.fingerprint != understood(floats(6, 2), LABELS[::-1])[0].fingerprint


def test_pickled_objects_are_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (tmp_path / "exploded").touch, ()

    np.savez(tmp_path / "set.npz", x=np.array([Bomb()], dtype=object), y=LABELS)
    with pytest.raises(DataError, match="pickled objects, which can run code") as caught:
        arrays.read(CONFIG, tmp_path / "set.npz")
    assert "np.savez" in (caught.value.hint or "")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"text", b"\x80\x04pickle"])
def test_a_file_that_is_no_npz_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError):
        arrays.read(CONFIG, tmp_path / "set.npz")


def test_a_truncated_npz_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=floats(6, 2), y=LABELS)
    whole = (tmp_path / "set.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 255
    for content in (whole[:-40], bytes(flipped)):
        (tmp_path / "set.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"is not a whole .npz file"):
            arrays.read(CONFIG, tmp_path / "set.npz")


def test_batches_are_bounded_and_keep_the_order_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from mltool.datasets.readers import array_source

    monkeypatch.setattr(array_source, "MAX_BATCH_BYTES", 50)
    found = {"x_train": np.arange(6.0), "y_train": LABELS, "x_test": 10 + np.arange(2.0), "y_test": LABELS[:2]}
    source = arrays.understand(found, CONFIG)
    batches = list(source.batches(np.array([7, 0, 6, 5, 1]), source.schema(source.splits["train"])))
    assert [len(target) for _, target in batches] == [4, 1]
    assert np.concatenate([inputs["numbers"] for inputs, _ in batches]).ravel().tolist() == [11, 0, 10, 5, 1]


PREFIXED = st.sampled_from([("train_{}", "test_{}"), ("{}_train", "{}_val"), ("{}", "{}_test"), ("{}", None)])


@given(
    words=st.tuples(st.sampled_from(sorted(INPUT_WORDS)), st.sampled_from(sorted(LABEL_WORDS))),
    naming=PREFIXED,
    upper=st.booleans(),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    shape=st.lists(st.integers(1, 5), min_size=0, max_size=4),
    dtype=st.sampled_from(["float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bool"]),
    label_dtype=st.sampled_from(["int64", "uint8", "float32", "float64", "U", "S", "bool"]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=300, deadline=None)
def test_a_named_pair_keeps_every_row_and_every_label(
    words: tuple[str, str],
    naming: tuple[str, str | None],
    upper: bool,
    sizes: tuple[int, int],
    shape: list[int],
    dtype: str,
    label_dtype: str,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    found, labels = {}, []
    for pattern, size in zip(naming, sizes, strict=True):
        if pattern:
            label = random.integers(0, 4, size).astype(label_dtype)
            labels += label.tolist()
            for word, array in ((words[0], random.integers(0, 100, (size, *shape)).astype(dtype)), (words[1], label)):
                name = pattern.format(word)
                found[name.upper() if upper else name] = array
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = arrays.understand(found, CONFIG)
    assert source.num_rows == len(labels)
    assert sum(map(len, source.splits.values())) in (0, len(labels))
    assert source.damage.found == []
    if len(set(labels)) < 2:
        with pytest.raises(DataError, match="only one class"):
            source.schema(np.arange(source.num_rows))
        return
    schema = source.schema(np.arange(source.num_rows))
    inputs, codes = all_rows(source)
    [spec] = schema.inputs
    assert inputs[spec.name].shape == (len(labels), *spec.shape)
    assert inputs[spec.name].dtype == spec.dtype
    whole = np.concatenate([array.reshape(len(array), -1) for array in list(found.values())[::2]])
    assert np.sort(inputs[spec.name].reshape(len(labels), -1)).tolist() == np.sort(whole.astype(np.float64)).tolist()
    texts = [label.decode() if isinstance(label, bytes) else str(label).removesuffix(".0") for label in labels]
    texts = [{"True": "true", "False": "false"}.get(text, text) for text in texts]
    assert [schema.target.classes[code] for code in codes] == texts


@given(
    shapes=st.dictionaries(
        st.text("xydatrinlbes_XT01", min_size=1, max_size=8), st.lists(st.integers(0, 4), max_size=4), max_size=5
    )
)
@settings(max_examples=300, deadline=None)
def test_any_dictionary_is_understood_or_refused_with_a_reason(shapes: dict[str, list[int]]) -> None:
    try:
        source = arrays.understand({name: np.ones(shape) for name, shape in shapes.items()}, CONFIG)
    except DataError:
        return
    assert source.num_rows > 0


def test_five_axes_are_no_pictures_whatever_they_are_called() -> None:
    source = arrays.understand({"image": np.zeros((6, 1, 2, 2, 2), np.uint8), "label": LABELS}, CONFIG)
    assert source.schema(np.arange(6)).image is None
    assert all_rows(source)[0]["image"].shape == (6, 1, 2, 2, 2)


def test_an_archive_that_unpacks_to_more_than_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mltool.core import host

    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((6, 1 << 20), np.float32), y=LABELS)
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 20
    monkeypatch.setattr(host, "available_memory_bytes", lambda: 20 << 20)
    with pytest.raises(DataError, match=r"unpacks to 24\.0 MiB, more than the memory that is free"):
        arrays.read(CONFIG, tmp_path / "bomb.npz")


def test_a_misspelt_array_to_ignore_is_named(tmp_path: Path) -> None:
    found = {"x": floats(6, 2), "y": LABELS, "ids": np.arange(6)}
    with pytest.raises(ConfigError, match=r"`idz` of `data\.ignore` is not in") as caught:
        arrays.understand(found, DataConfig(source="s.npz", ignore=("idz",)))
    assert caught.value.hint == "did you mean `ids`?"


def test_many_small_entries_fill_the_memory_as_one_large_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mltool.core import host

    many = {f"a{i}": np.zeros((6, 1 << 18), np.float32) for i in range(5)}
    np.savez_compressed(tmp_path / "bomb.npz", **many, y=LABELS)  # type: ignore[arg-type]
    monkeypatch.setattr(host, "available_memory_bytes", lambda: 20 << 20)
    with pytest.raises(DataError, match="more than the memory that is free"):
        arrays.read(CONFIG, tmp_path / "bomb.npz")
