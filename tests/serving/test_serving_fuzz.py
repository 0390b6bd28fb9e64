"""Bytes that nobody would send on purpose: whatever comes, the answer is no failure of the server."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mltool.artifacts.artifact import Artifact
from mltool.serving.config import ServeConfig
from mltool.serving.errors import HttpError
from mltool.serving.served import Served, load_served
from mltool.serving.v2 import Protocol

X = np.arange(8, dtype=np.float32).reshape(2, 4)


@pytest.fixture(scope="module")
def served(models: dict[str, Artifact]) -> Served:
    return load_served(models["linear"], ServeConfig(served_model_name="linear@1"))


@pytest.fixture(scope="module")
def table_served(models: dict[str, Artifact]) -> Served:
    return load_served(models["table"], ServeConfig(served_model_name="table@1"))


def survives(served: Served, body: bytes, json_length: bytes | None) -> None:
    """Either it is refused with a status of the client's, or it can be answered."""
    protocol = Protocol(served)
    try:
        question = protocol.read(body, json_length)
    except HttpError as error:
        if error.status != 400 or not error.message:
            raise
        return
    outputs = served.runner.run(question.arrays)
    text, headers = protocol.write(question, outputs)
    length = dict(headers).get(b"inference-header-content-length")
    head = json.loads(text if length is None else text[: int(length)])
    assert [one["name"] for one in head["outputs"]] == [name for name, _ in question.outputs]
    for one in head["outputs"]:
        assert one["shape"][0] == question.num_samples


def header(size: Any = 32, **changed: Any) -> dict[str, Any]:
    one = {"name": "x", "shape": [2, 4], "datatype": "FP32", "parameters": {"binary_data_size": size}, **changed}
    return {"inputs": [one]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["name", "shape", "datatype", "parameters", "data", "inputs", "outputs", "id"])


@given(body=st.binary(max_size=200), length=st.none() | st.integers(-5, 300))
def test_any_bytes(served: Served, body: bytes, length: int | None) -> None:
    survives(served, body, None if length is None else str(length).encode())


@given(
    size=st.integers(-(2**65), 2**65) | JSON,
    shape=st.lists(st.integers(-(2**65), 2**65), max_size=4) | st.just([2, 4]),
    datatype=st.sampled_from(["FP32", "FP64", "BYTES", "INT8", ""]),
    data=st.binary(max_size=80) | st.just(X.tobytes()),
    cut=st.integers(-8, 8),
)
def test_headers_and_data_that_do_not_fit(
    served: Served, size: Any, shape: list[int], datatype: str, data: bytes, cut: int
) -> None:
    text = json.dumps(header(size, shape=shape, datatype=datatype)).encode()
    survives(served, text + data, str(len(text) + cut).encode())


@given(changes=st.dictionaries(KEYS, JSON, max_size=4), at_top=st.booleans())
def test_json_of_other_forms(served: Served, changes: dict[str, Any], at_top: bool) -> None:
    plain = {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": X.ravel().tolist()}
    body = {"inputs": [plain], **changes} if at_top else {"inputs": [{**plain, **changes}]}
    survives(served, json.dumps(body).encode(), None)


@given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_one_byte_that_is_changed(served: Served, at: int, byte: int) -> None:
    text = json.dumps(header()).encode()
    body = bytearray(text + X.tobytes())
    body[at % len(body)] = byte
    survives(served, bytes(body), str(len(text)).encode())


@given(codes=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3), number=st.floats(width=32))
def test_codes_and_numbers_of_a_table(table_served: Served, codes: list[int], number: float) -> None:
    numbers = np.full((len(codes), 2), number, np.float32)
    size = {"binary_data_size": numbers.nbytes}
    inputs = [
        {"name": "numbers", "shape": [len(codes), 2], "datatype": "FP32", "parameters": size},
        {"name": "categories", "shape": [len(codes), 1], "datatype": "INT64", "data": codes},
    ]  # fmt: skip
    text = json.dumps({"inputs": inputs}).encode()
    survives(table_served, text + numbers.tobytes(), str(len(text)).encode())


@pytest.mark.soak
@settings(max_examples=100_000)
@given(
    size=st.integers(-8, 48),
    shape=st.lists(st.integers(-2, 5), min_size=1, max_size=3) | st.just([2, 4]),
    data=st.binary(min_size=16, max_size=48) | st.just(X.tobytes()),
    cut=st.integers(-3, 3),
)
def test_a_hundred_thousand_requests(served: Served, size: int, shape: list[int], data: bytes, cut: int) -> None:
    text = json.dumps(header(size, shape=shape)).encode()
    survives(served, text + data, str(len(text) + cut).encode())
