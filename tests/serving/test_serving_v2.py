"""The Open Inference Protocol, as the client of its largest server speaks it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mltool.artifacts.artifact import Artifact
from mltool.runtimes.runner import load
from serving_testing import Running

tritonclient = pytest.importorskip("tritonclient.http", reason="the client is not installed")

X = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture
def expected(models: dict[str, Artifact]) -> dict[str, np.ndarray]:
    return load(models["linear"], threads=1).run({"x": X})


def tensor(x: np.ndarray = X, **changed: Any) -> dict[str, Any]:
    body = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    return {key: value for key, value in {**body, **changed}.items() if value is not None}


def infer(server: Running, *inputs: Any, **request: Any) -> Any:
    return server.post("/v2/models/linear/infer", {"inputs": list(inputs or [tensor()]), **request})


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
def test_tritonclient_gets_the_answers_of_the_model(
    linear: Running, expected: dict[str, np.ndarray], binary_in: bool, binary_out: bool | None, packing: str | None
) -> None:
    with tritonclient.InferenceServerClient(f"{linear.host}:{linear.port}") as client:
        given = tritonclient.InferInput("x", X.shape, "FP32")
        given.set_data_from_numpy(X, binary_data=binary_in)
        wanted = [tritonclient.InferRequestedOutput("probabilities", binary_data=binary_out)]
        result = client.infer(
            "linear",
            [given],
            outputs=None if binary_out is None else wanted,
            request_id="r-7",
            request_compression_algorithm=packing,
            response_compression_algorithm=packing,
        )
    assert np.allclose(result.as_numpy("probabilities"), expected["probabilities"], atol=1e-6)
    assert result.get_response()["id"] == "r-7"
    assert (result.as_numpy("logits") is None) == (binary_out is not None)


def test_tritonclient_finds_the_server_and_its_model(linear: Running) -> None:
    with tritonclient.InferenceServerClient(f"{linear.host}:{linear.port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("linear")
        assert client.is_model_ready("linear", "1")
        assert not client.is_model_ready("linear", "2")
        assert not client.is_model_ready("other")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        metadata = client.get_model_metadata("linear")
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert [one["name"] for one in metadata["outputs"]] == ["logits", "probabilities"]


@pytest.mark.parametrize("data", [X.ravel().tolist(), X.tolist()])
def test_json_data_may_be_flat_or_nested(linear: Running, expected: dict[str, np.ndarray], data: list[Any]) -> None:
    answer = infer(linear, tensor(data=data), outputs=[{"name": "logits"}]).json
    (logits,) = answer["outputs"]
    assert logits["shape"] == [5, 3]
    assert np.allclose(np.reshape(logits["data"], (5, 3)), expected["logits"], atol=1e-6)


def test_the_same_answers_come_from_the_path_with_the_version(linear: Running) -> None:
    versioned = linear.post("/v2/models/linear/versions/1/infer", {"inputs": [tensor()]})
    assert versioned.json["outputs"] == infer(linear).json["outputs"]


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ([], "the input `x` is missing"),
        ([tensor(name="y")], "the model has no input `y`"),
        ([tensor(), tensor()], "the input `x` is given twice"),
        ([tensor(datatype="FP64")], "the input `x` is FP64, but FP32 is needed"),
        ([tensor(shape=[5, 5])], "the input `x` has the shape [5, 5], but [-1, 4] is needed"),
        ([tensor(shape=[20])], "the input `x` has the shape [20], but [-1, 4] is needed"),
        ([tensor(shape=[])], "the input `x` has the shape [], but [-1, 4] is needed"),
        ([tensor(shape=[-5, 4])], "the input `x` has the shape [-5, 4], but [-1, 4] is needed"),
        ([tensor(shape=[4, 4])], "the input `x` has 20 values, but its shape [4, 4] has 16"),
        ([tensor(shape=[10**18, 4])], "but its shape [1000000000000000000, 4] has 4000000000000000000"),
        ([tensor(shape=[0, 4], data=[])], "the inputs hold no samples"),
        ([tensor(shape=[0, 2**62], data=[])], "the input `x` has the shape"),
        ([tensor(data=None)], "the input `x` has no data"),
        ([tensor(data=["a"] * 20)], "the data of `x` is not FP32"),
        ([tensor(data=[True] * 20)], "the data of `x` is not FP32"),
        ([tensor(data=[[1.0], [1.0, 2.0]])], "the data of `x` is not FP32"),
        ([tensor(data={"a": 1})], "the data of `x` is not FP32"),
        ([tensor(data=[None] * 20)], "`x` holds NaN in row 1"),
        ([tensor(data=[1e39] * 20)], "`x` holds an infinite value in row 1"),
        ([tensor(parameters={"binary_data_size": 80})], "has data both in JSON and in binary"),
    ],
)
def test_what_does_not_fit_is_named(linear: Running, inputs: list[Any], error: str) -> None:
    answer = infer(linear, *inputs) if inputs else linear.post("/v2/models/linear/infer", {"inputs": []})
    assert answer.status == 400
    assert error in answer.error


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"outputs": [{"name": "logit"}]}, "the model has no output `logit`"),
        ({"outputs": [{"name": "logits", "parameters": {"classification": 2}}]}, "classification extension"),
        ({"outputs": "logits"}, "not an inference request"),
        ({"id": 7}, "not an inference request"),
    ],
)
def test_a_request_for_something_else_is_named(linear: Running, request_: dict[str, Any], error: str) -> None:
    answer = infer(linear, **request_)
    assert answer.status == 400
    assert error in answer.error


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"inputs": 3}', b"[" * 100_000], ids=range(7)
)
def test_a_body_that_is_no_request_is_refused(linear: Running, body: bytes) -> None:
    answer = linear.post("/v2/models/linear/infer", body)
    assert answer.status == 400
    assert "not an inference request" in answer.error


def binary(header: dict[str, Any], data: bytes, length: object = None) -> tuple[bytes, str]:
    text = json.dumps(header).encode()
    return text + data, str(len(text) if length is None else length)


@pytest.mark.parametrize(
    ("size", "data", "length", "error"),
    [
        (80, X.tobytes()[:-4], None, "`binary_data_size` of `x` is 80, but 76 bytes are there"),
        (79, X.tobytes(), None, "which is no multiple of 4"),
        (76, X.tobytes(), None, "the input `x` has 19 values, but its shape [5, 4] has 20"),
        (80, X.tobytes() + b"more", None, "4 bytes of binary data belong to no input"),
        (-4, X.tobytes(), None, "`binary_data_size` of `x` is -4"),
        ("80", X.tobytes(), None, "`binary_data_size` of `x` is '80'"),
        (True, X.tobytes(), None, "`binary_data_size` of `x` is True"),
        (80, X.tobytes(), 10**9, "does not fit"),
        (80, X.tobytes(), "-1", "does not fit"),
        (80, X.tobytes(), "ten", "does not fit"),
        (80, X.tobytes(), 3, "not an inference request"),
    ],
    ids=range(11),
)
def test_lengths_that_lie_are_refused(linear: Running, size: Any, data: bytes, length: object, error: str) -> None:
    header = {"inputs": [tensor(data=None, parameters={"binary_data_size": size})]}
    body, json_length = binary(header, data, length)
    answer = linear.post("/v2/models/linear/infer", body, Inference_Header_Content_Length=json_length)
    assert answer.status == 400
    assert error in answer.error


def test_codes_and_missing_numbers_of_a_table_are_checked(table: Running) -> None:
    def ask(numbers: list[Any], codes: list[int]) -> Any:
        inputs = [
            {"name": "numbers", "shape": [1, 2], "datatype": "FP32", "data": numbers},
            {"name": "categories", "shape": [1, 1], "datatype": "INT64", "data": codes},
        ]
        return table.post("/v2/models/table/infer", {"inputs": inputs})

    assert ask([1.5, None], [2]).status == 200
    assert "the codes of `colour` must be from 0 to 2" in ask([1.5, 1], [3]).error
    assert "the data of `categories` is not INT64" in ask([1.5, 1], [2**70]).error
    assert "the data of `categories` is not INT64" in ask([1.5, 1], [1.5]).error  # type: ignore[list-item]


def test_inputs_of_different_lengths_are_refused(table: Running) -> None:
    inputs = [
        {"name": "numbers", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
        {"name": "categories", "shape": [1, 1], "datatype": "INT64", "data": [1]},
    ]
    answer = table.post("/v2/models/table/infer", {"inputs": inputs})
    assert answer.error == "the inputs differ in their number of samples: [1, 2]"


@pytest.mark.parametrize("value", [256, -1, 0.5, "7"])
def test_a_pixel_is_from_0_to_255(picture: Running, value: object) -> None:
    data = [value] * 64
    inputs = [{"name": "image", "shape": [1, 1, 8, 8], "datatype": "UINT8", "data": data}]
    answer = picture.post("/v2/models/picture/infer", {"inputs": inputs})
    assert answer.status == 400
    assert "the data of `image` is not UINT8" in answer.error
