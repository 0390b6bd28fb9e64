from __future__ import annotations

import base64
import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mltool.core.errors import InputError
from mltool.datasets.encoder import Encoder
from mltool.datasets.schema import Column, ImageSpec, Schema, Target, TensorSpec

TABLE = Schema(
    columns=(Column("age", "number"), Column("city", "category", ("3", "oslo", "true")), Column("size", "number")),
    inputs=(TensorSpec("numbers", "float32", (2,)), TensorSpec("categories", "int64", (1,))),
    target=Target("species", "class", ("cat", "dog", "2")),
    extra={"left_out": ["id"]},
)
NUMBER_TARGET = Schema(TABLE.columns, TABLE.inputs, Target("price", "number"))
TENSORS = Schema(
    columns=(Column("x", "tensor"), Column("mask", "tensor")),
    inputs=(TensorSpec("x", "float32", (2, 2)), TensorSpec("mask", "int64", (3,))),
    target=Target("y", "tensor"),
)


def picture_schema(channels: int, height: int = 2, width: int = 3) -> Schema:
    return Schema(
        columns=(Column("image", "image"),),
        inputs=(TensorSpec("image", "uint8", (channels, height, width)),),
        target=Target("label", "class", ("a", "b")),
        image=ImageSpec(channels, height, width),
    )


def numbers_of(*records: dict[str, Any]) -> list[list[float]]:
    return Encoder(TABLE).encode(list(records))["numbers"].tolist()


def codes_of(*values: Any) -> list[int]:
    return Encoder(TABLE).encode([{"city": value} for value in values])["categories"][:, 0].tolist()


def test_arrays_have_the_names_order_dtypes_and_shapes_of_the_schema() -> None:
    arrays = Encoder(TABLE).encode([{"age": 1, "city": "oslo", "size": 2.5}])
    assert list(arrays) == ["numbers", "categories"]
    assert (arrays["numbers"].dtype, arrays["numbers"].shape) == (np.float32, (1, 2))
    assert (arrays["categories"].dtype, arrays["categories"].shape) == (np.int64, (1, 1))
    assert arrays["numbers"].tolist() == [[1.0, 2.5]]
    assert arrays["categories"].tolist() == [[2]]


def test_no_records_give_arrays_without_rows() -> None:
    assert {name: array.shape for name, array in Encoder(TABLE).encode([]).items()} == {
        "numbers": (0, 2),
        "categories": (0, 1),
    }
    assert Encoder(picture_schema(3)).encode([])["image"].shape == (0, 3, 2, 3)


def test_numeric_text_is_a_number() -> None:
    assert numbers_of({"age": " 3.5 ", "size": "1"}) == [[3.5, 1.0]]


@pytest.mark.parametrize("value", [None, "", " ", "NA", "N/A", "NaN", "nan", "null", "None", "?", float("nan")])
def test_a_missing_number_is_nan(value: Any) -> None:
    assert np.isnan(numbers_of({"age": value})).all()


@pytest.mark.parametrize("value", ["abc", "1_000", "٣", "1,5", [1], {"a": 1}, b"1", 1j, "0x10", True, np.True_])
def test_a_number_that_is_none_is_named_with_record_and_field(value: Any) -> None:
    with pytest.raises(InputError, match=r"record 2: `age` is `.*, but a number is needed"):
        numbers_of({"age": 1}, {"age": value})
    column = np.empty(2, object)
    column[:] = [1, value]
    with pytest.raises(InputError, match="record 2: `age`"):
        Encoder(TABLE).encode_columns({"age": column})


@pytest.mark.parametrize("value", [float("inf"), "-inf", "Infinity", 1e39, "1e400", 10**400])
def test_an_infinite_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"record 1: `age` is .* infinite or too large"):
        numbers_of({"age": value})
    with pytest.raises(InputError, match=r"record 1: `age` is .* infinite or too large"):
        Encoder(TABLE).encode_columns({"age": np.array([value], object)})


def test_an_infinite_value_in_a_column_of_floats_is_named_with_its_first_row() -> None:
    with pytest.raises(InputError, match="record 2: `age`"):
        Encoder(TABLE).encode_columns({"age": np.array([1.0, np.inf, -np.inf])})


def test_the_first_of_several_bad_cells_of_a_column_is_named() -> None:
    with pytest.raises(InputError, match="record 2: `age` is `x`"):
        Encoder(TABLE).encode_columns({"age": np.array(["1", "x", "y", "x"], object)})


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InputError) as caught:
        numbers_of({"age": "x" * 100_000})
    assert len(caught.value.message) < 200


def test_a_category_is_matched_by_its_text_whatever_its_type() -> None:
    assert codes_of(3, 3.0, "3", "3.0", " 3 ", np.int32(3), np.float32(3)) == [1] * 7
    assert codes_of(True, "true", "True", "TRUE", np.True_) == [3] * 5
    assert codes_of("oslo", " oslo ") == [2, 2]


def test_an_unknown_or_missing_category_is_zero() -> None:
    assert codes_of("rome", None, "", float("nan"), float("inf"), 1, "03", "Oslo") == [0] * 8


def test_a_list_is_no_category() -> None:
    with pytest.raises(InputError, match=r"record 1: `city` is `\['oslo'\]`"):
        codes_of(["oslo"])


def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="record 1: unknown field `sise`") as caught:
        numbers_of({"sise": 1})
    assert caught.value.hint == "did you mean `size`?"
    with pytest.raises(InputError, match="unknown field `sise`"):
        Encoder(TABLE).encode_columns({"sise": np.zeros(1)})


def test_the_target_and_columns_left_out_in_training_are_ignored() -> None:
    assert numbers_of({"age": 1, "size": 2, "species": "anything", "id": object()}) == [[1, 2]]


@pytest.mark.parametrize("record", [[1, 2], "age", None, 3])
def test_a_record_without_fields_is_refused(record: Any) -> None:
    with pytest.raises(InputError, match=r"record 1: .* is not an object"):
        Encoder(TABLE).encode([record])


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="one length"):
        Encoder(TABLE).encode_columns({"age": np.zeros(2), "size": np.zeros(3)})


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.floats(width=32),
    st.text("0123.eE+-_ naitrue٣é", max_size=5),  # the whole of Unicode takes seconds to load
    st.sampled_from(
        ["3", "3.0", "true", "True", "oslo", "NA", "1e5", "-0.0", "1_0", "inf", 2**53, 2.0**53, 1e16, 10**16]
    ),
)


@given(
    st.lists(st.fixed_dictionaries({}, optional={"age": CELLS, "city": CELLS, "size": CELLS}), min_size=1, max_size=6)
)
def test_records_and_columns_are_encoded_alike(records: list[dict[str, Any]]) -> None:
    encoder = Encoder(TABLE)
    columns = {}
    for name in ("age", "city", "size"):
        columns[name] = np.empty(len(records), object)
        columns[name][:] = [record.get(name) for record in records]

    def outcome(encode: Any, given: Any) -> Any:
        try:
            return encode(given)
        except InputError as error:
            return error.message.split(":")[0] if len(records) == 1 else "refused"

    by_record, by_column = outcome(encoder.encode, records), outcome(encoder.encode_columns, columns)
    if isinstance(by_record, str) or isinstance(by_column, str):
        assert by_record == by_column
    else:
        for name in by_record:
            assert by_record[name].dtype == by_column[name].dtype
            np.testing.assert_array_equal(by_record[name], by_column[name])


@given(st.lists(st.one_of(st.floats(width=32, allow_infinity=False), st.integers(-5, 5)), min_size=1, max_size=6))
def test_columns_of_floats_and_of_objects_are_encoded_alike(values: list[float]) -> None:
    encoder = Encoder(TABLE)
    floats = {"age": np.array(values, np.float64), "city": np.array(values, np.float64)}
    objects = {name: np.array(values, object) for name in floats}
    for name, array in encoder.encode_columns(floats).items():
        np.testing.assert_array_equal(array, encoder.encode_columns(objects)[name])


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


PIXELS_CHW = np.arange(18, dtype=np.uint8).reshape(3, 2, 3) * 10


def test_a_picture_may_be_bytes_base64_a_data_url_or_lists_of_pixels() -> None:
    data = png(PIXELS_CHW.transpose(1, 2, 0))
    text = base64.b64encode(data).decode()
    forms = [
        data,
        text,
        f"{text[:20]}\n{text[20:]}",
        f"data:image/png;base64,{text}",
        PIXELS_CHW.tolist(),
        PIXELS_CHW.transpose(1, 2, 0).tolist(),
        PIXELS_CHW.astype(float).tolist(),
    ]
    images = Encoder(picture_schema(3)).encode([{"image": form} for form in forms])["image"]
    assert images.dtype == np.uint8
    for image in images:
        np.testing.assert_array_equal(image, PIXELS_CHW)
    column = np.empty(len(forms), object)
    column[:] = forms
    np.testing.assert_array_equal(Encoder(picture_schema(3)).encode_columns({"image": column})["image"], images)


def test_a_grey_picture_may_have_no_channel_axis() -> None:
    grey_HW = PIXELS_CHW[0]
    image = Encoder(picture_schema(1)).encode([{"image": grey_HW.tolist()}])["image"]
    np.testing.assert_array_equal(image, grey_HW[None, None])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "is missing"),
        ("no base64!", "not base64"),
        ("data:image/png,abc", ";base64"),
        (base64.b64encode(b"no picture").decode(), "cannot be read"),
        (b"", "cannot be read"),
        (png(PIXELS_CHW.transpose(1, 2, 0))[:50], "cannot be read"),
        ([[1, 2], [3]], "different lengths"),
        ([[1, 2]], r"shape \[1, 2\]"),
        ((PIXELS_CHW.astype(int) + 100).tolist(), "holds 25[6-9]|holds 2[6-7]"),
        ((PIXELS_CHW.astype(int) - 1).tolist(), "holds -1"),
        ((PIXELS_CHW + 0.5).tolist(), "fractions"),
        ((PIXELS_CHW * np.nan).tolist(), "holds nan"),
        ({"a": 1}, "holds object"),
        (3, "shape"),
    ],
)
def test_a_broken_picture_is_named_with_its_record(value: Any, why: str) -> None:
    with pytest.raises(InputError, match=f"record 2: the picture in `image` .*({why})"):
        Encoder(picture_schema(3)).encode([{"image": PIXELS_CHW.tolist()}, {"image": value}])


def test_tensors_come_from_nested_lists() -> None:
    arrays = Encoder(TENSORS).encode([{"x": [[1, 2], [3, 4.5]], "mask": [1, 0, 1]}] * 2)
    assert (arrays["x"].dtype, arrays["x"].shape) == (np.float32, (2, 2, 2))
    assert (arrays["mask"].dtype, arrays["mask"].shape) == (np.int64, (2, 3))
    columns = {"x": np.ones((4, 2, 2)), "mask": np.zeros((4, 3), np.int32)}
    assert Encoder(TENSORS).encode_columns(columns)["mask"].dtype == np.int64


@pytest.mark.parametrize(
    ("x", "why"),
    [
        ([[1, 2, 3]], r"shape \[1, 3\], but \[2, 2\] is needed"),
        ([[1, 2], [3]], "different lengths"),
        ([["a", "b"], ["c", "d"]], "float32 is needed"),
        ([[1, None], [3, 4]], "float32 is needed"),
        ([[1e300, 0], [0, 0]], "float32 cannot hold"),
        (None, "is missing"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named_with_its_record(x: Any, why: str) -> None:
    with pytest.raises(InputError, match=f"record 1: `x` .*{why}"):
        Encoder(TENSORS).encode([{"x": x, "mask": [0, 0, 0]}])


def test_a_fraction_is_not_cut_to_a_whole_number() -> None:
    with pytest.raises(InputError, match=r"holds 0.5, which int64 cannot hold"):
        Encoder(TENSORS).encode([{"x": [[1, 2], [3, 4]], "mask": [0.5, 0, 0]}])


def test_class_targets_become_codes_whatever_their_type() -> None:
    codes = Encoder(TABLE).encode_target(["dog", "cat", 2, 2.0, "2"])
    assert (codes.dtype, codes.tolist()) == (np.int64, [1, 0, 2, 2, 2])


def test_an_unknown_class_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="record 2: `dgo` is not a class of `species`") as caught:
        Encoder(TABLE).encode_target(["cat", "dgo"])
    assert caught.value.hint == "did you mean `dog`?"


@pytest.mark.parametrize("schema", [TABLE, NUMBER_TARGET])
def test_a_missing_target_is_refused(schema: Schema) -> None:
    with pytest.raises(InputError, match=r"record 1: the target `.*` is missing"):
        Encoder(schema).encode_target([None])


def test_number_targets_are_float32() -> None:
    values = Encoder(NUMBER_TARGET).encode_target([1, "2.5", 3.0])
    assert (values.dtype, values.tolist()) == (np.float32, [1.0, 2.5, 3.0])
    with pytest.raises(InputError, match="record 1: `price` is `dear`"):
        Encoder(NUMBER_TARGET).encode_target(["dear"])


def test_probabilities_become_labels() -> None:
    answers = Encoder(TABLE).decode({"probabilities": np.array([[0.25, 0.5, 0.25]], np.float32)})
    assert answers == [{"label": "dog", "confidence": 0.5, "probabilities": {"cat": 0.25, "dog": 0.5, "2": 0.25}}]


def test_predictions_become_numbers() -> None:
    assert Encoder(NUMBER_TARGET).decode({"prediction": np.array([1.5, 2.0])}) == [
        {"prediction": 1.5},
        {"prediction": 2.0},
    ]
    assert Encoder(NUMBER_TARGET).decode({"prediction": np.array([[1.5]])}) == [{"prediction": 1.5}]


def test_other_outputs_become_nested_lists() -> None:
    outputs = {"mask": np.zeros((2, 1, 2)), "score": np.ones(2)}
    assert Encoder(TENSORS).decode(outputs) == [{"mask": [[0.0, 0.0]], "score": 1.0}] * 2


def test_outputs_that_do_not_fit_the_target_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \[1, 2\], but `species` has 3 classes"):
        Encoder(TABLE).decode({"probabilities": np.zeros((1, 2))})
    with pytest.raises(InputError, match="answers `logits`, but `probabilities` is needed"):
        Encoder(TABLE).decode({"logits": np.zeros((1, 3))})


def test_encoding_numbers_needs_numpy_only() -> None:
    code = "import sys, mltool.datasets.encoder; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"pyarrow", "torch", "PIL", "scipy"} & set(loaded.split())
