from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mltool.core.errors import ArtifactError, InputError
from mltool.records import tensors
from mltool.records.tensors import decode, encode

DTYPES = ("?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8")
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__" and name.isprintable())
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return list(first) == list(second) and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in zip(first.values(), second.values(), strict=True)
    )


@given(st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_safetensors_reads_what_was_encoded_and_so_do_we(arrays: dict[str, np.ndarray]) -> None:
    for content in (encode(arrays), encode(arrays)):  # the second time the header is remembered
        read = safetensors.numpy.load(content)
        assert same({name: read[name] for name in arrays}, arrays)
        assert set(read) == set(arrays)
        assert same(decode(content), arrays)
        assert same(decode(content), arrays)


@given(st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_what_safetensors_writes_is_read(arrays: dict[str, np.ndarray]) -> None:
    content = safetensors.numpy.save(
        {n: np.ascontiguousarray(a).reshape(a.shape) for n, a in arrays.items()}, {"a": "b"}
    )
    read = decode(content)
    assert same({name: read[name] for name in arrays}, arrays)


def test_arrays_in_any_order_of_memory_keep_their_values() -> None:
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {
        "turned": grid.T,
        "every_other": grid[::2, ::3],
        "backwards": grid[::-1],
        "fortran": np.asfortranarray(grid),
    }
    assert all(np.array_equal(decode(encode(arrays))[name], array) for name, array in arrays.items())


def test_numbers_in_the_other_order_of_bytes_keep_their_values() -> None:
    arrays = {"big": np.array([1, 2, 70000], ">i4"), "little": np.array([1.5], "<f4")}
    for _ in range(2):
        read = safetensors.numpy.load(encode(arrays))
        assert read["big"].tolist() == [1, 2, 70000]
        assert read["little"].tolist() == [1.5]


def test_arrays_of_equal_header_but_other_values_are_told_apart() -> None:
    first, second = ({"numbers": np.full(4, value, np.float32)} for value in (1, 2))
    assert encode(first) != encode(second)
    assert decode(encode(second))["numbers"].tolist() == [2] * 4


def test_the_headers_that_are_remembered_are_bounded() -> None:
    for length in range(3000):
        array = {"numbers": np.zeros(length, np.uint8)}
        assert decode(encode(array))["numbers"].shape == (length,)
    assert len(tensors._headers) <= 1024
    assert len(tensors._layouts) <= 1024


def test_what_was_read_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        decode(encode({"numbers": np.zeros(3)}))["numbers"][0] = 1


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.zeros(2, "c8"), np.zeros(1, "M8[s]")])
def test_a_type_that_the_format_does_not_have_is_named(array: np.ndarray) -> None:
    with pytest.raises(InputError, match=f"an array `strange` of {array.dtype}".replace("[", r"\[")):
        encode({"strange": array})


def test_the_name_that_the_format_keeps_for_itself_is_refused() -> None:
    with pytest.raises(InputError, match="__metadata__"):
        encode({"__metadata__": np.zeros(2)})


def as_content(entry: object) -> bytes:
    header = json.dumps({"numbers": entry}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"abc", (2**63).to_bytes(8, "little"), (4).to_bytes(8, "little") + b"[1,2", as_content(None),
        as_content({"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}),
        as_content({"dtype": "F32", "shape": [2]}),
        as_content({"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}),
        as_content({"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}),
        as_content({"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]}),
        as_content({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}),
        (2).to_bytes(8, "little") + b"[]", (4).to_bytes(8, "little") + b"null",
    ],
)  # fmt: skip
def test_damaged_bytes_are_an_error_of_ours(content: bytes) -> None:
    with pytest.raises(ArtifactError, match="recorded arrays are damaged"):
        decode(content)


@given(st.binary(max_size=200))
def test_whatever_bytes_there_are_is_read_or_refused(content: bytes) -> None:
    for damaged in (content, encode({"numbers": np.zeros((2, 2))})[: len(content)] + content):
        with contextlib.suppress(ArtifactError):
            decode(damaged)
