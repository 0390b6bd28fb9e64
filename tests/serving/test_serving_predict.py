"""Records, pictures and files, as people send them."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mltool.artifacts.artifact import Artifact
from mltool.runtimes.runner import load
from serving_testing import Running

RED = {"length": 0.5, "width": -1.0, "colour": "red"}


def png(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def expected(models: dict[str, Artifact]) -> list[float]:
    inputs = {"numbers": np.array([[0.5, -1.0]], np.float32), "categories": np.array([[1]])}
    probabilities: list[float] = load(models["table"], threads=1).run(inputs)["probabilities"][0].tolist()
    return probabilities


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", json.dumps(RED).encode()),
        ("application/json; charset=utf-8", json.dumps([RED]).encode()),
        ("application/json", json.dumps({"records": [RED]}).encode()),
        ("application/json", json.dumps({"instances": [RED]}).encode()),
        ("application/x-ndjson", json.dumps(RED).encode() + b"\n"),
        ("text/csv", b"length,width,colour\n0.5,-1.0,red\n"),
        ("text/tab-separated-values", b"length\twidth\tcolour\n0.5\t-1.0\tred\n"),
        ("application/x-www-form-urlencoded", json.dumps(RED).encode()),  # what curl says of everything
        ("", b"length,width,colour\n0.5,-1.0,red\n"),
    ],
)
def test_records_are_read_in_every_usual_form(
    table: Running, expected: list[float], content_type: str, body: bytes
) -> None:
    answer = table.post("/predict", body, Content_Type=content_type)
    assert answer.status == 200, answer.body
    (prediction,) = answer.json["predictions"]
    assert list(prediction["probabilities"].values()) == pytest.approx(expected, abs=1e-6)
    assert prediction["label"] == max(prediction["probabilities"], key=prediction["probabilities"].get)
    assert answer.json["model"] == "table@1"
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert "warnings" not in answer.json


def test_many_records_are_answered_in_their_order(table: Running) -> None:
    rows = [{**RED, "length": length} for length in np.linspace(-2, 2, 50).tolist()]
    together = table.post("/predict", {"records": rows}).json["predictions"]
    alone = [table.post("/predict", row).json["predictions"][0] for row in rows[::10]]
    assert together[::10] == alone


def test_what_training_did_not_show_is_answered_and_said(table: Running) -> None:
    body = table.post("/predict", {"length": 1, "colour": "purple"}).json
    assert any("`colour` of the body is `purple`" in warning for warning in body["warnings"])
    assert any("no field `width`" in warning for warning in body["warnings"])
    assert len(body["predictions"]) == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the body is empty"),
        (b"{", "not JSON"),
        (b"3", "line"),
        (b'{"records": []}', "holds no rows"),
        (b'{"records": [3]}', "is not an object with fields"),
        (b'{"lenght": 3}', "unknown field `lenght`"),
        (b'{"length": "long"}', "`length` is `long`, but a number is needed"),
        (b'{"length": 1e999}', "infinite or too large"),
        (b'{"length": [1]}', "a number is needed"),
        (b'{"colour": {"a": 1}}', "text or a number is needed"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[" * 200_000, "not JSON"),
    ],
    ids=range(12),
)
def test_a_record_that_does_not_fit_is_named(table: Running, body: bytes, error: str) -> None:
    answer = table.post("/predict", body, Content_Type="application/json" if body != b"3" else "text/csv")
    assert answer.status == 400, answer.body
    if body != b"3":
        assert error in answer.error


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", "application/x-www-form-urlencoded"])
def test_a_picture_is_sent_as_it_is(picture: Running, models: dict[str, Artifact], content_type: str) -> None:
    answer = picture.post("/predict", png(), Content_Type=content_type)
    pixels = np.asarray(Image.open(io.BytesIO(png())))[np.newaxis, np.newaxis]
    expected = load(models["picture"], threads=1).run({"image": pixels})["probabilities"][0]
    assert list(answer.json["predictions"][0]["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-6)
    text = base64.b64encode(png()).decode()
    assert picture.post("/predict", {"image": text}).json["predictions"] == answer.json["predictions"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(png()[:60], "image/png"), (b"no picture", "image/jpeg"), (b'{"image": "../../etc/passwd"}', "application/json")],
    ids=["cut off", "text", "a path"],
)
def test_what_is_no_picture_is_refused(picture: Running, body: bytes, content_type: str) -> None:
    answer = picture.post("/predict", body, Content_Type=content_type)
    assert answer.status == 400
    assert "picture" in answer.error


def test_a_picture_that_would_unpack_to_gigabytes_is_refused(picture: Running) -> None:
    buffer = io.BytesIO()
    Image.new("1", (60_000, 60_000)).save(buffer, "PNG")
    answer = picture.post("/predict", buffer.getvalue(), Content_Type="image/png")
    assert answer.status == 400
    assert "picture" in answer.error


def test_a_form_is_refused_with_what_to_do(picture: Running) -> None:
    answer = picture.post("/predict", b"--x", Content_Type="multipart/form-data; boundary=x")
    assert answer.status == 415
    assert "--data-binary" in answer.json["hint"]


def test_a_record_of_a_tensor_is_a_list(linear: Running) -> None:
    assert linear.post("/predict", {"x": [1, 2, 3, 4]}).status == 200
    missing = linear.post("/predict", b'{"x": [NaN, 1, 2, 3]}', Content_Type="application/json")
    assert "holds NaN in row 1" in missing.error
    answer: Any = linear.post("/predict", {"x": [1, 2, 3]})
    assert "`x` has the shape [3], but [4] is needed" in answer.error
