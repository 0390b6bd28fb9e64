"""What is counted and remembered of requests."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mltool.artifacts.artifact import Artifact
from mltool.records.reading import Record, read
from mltool.runtimes.runner import load
from serving_testing import Running, serving

X = np.array([[0.5, -1.0, 2.0, 0.25]], np.float32)
LINEAR = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": X.ravel().tolist()}]}


def recorded(models: dict[str, Artifact], name: str, folder: Path, *requests: Any, **options: str) -> list[Record]:
    given = [f"{key}={value}" for key, value in options.items()]
    with serving(models[name].path, f"served_model_name={name}@1", f"record_folder={folder}", *given) as server:
        for path, body, headers in requests:
            server.post(path, body, **headers)
        assert server.stop() == 0
    return list(read(folder))


def test_a_request_is_remembered_with_what_was_asked_and_answered(models: dict[str, Artifact], tmp_path: Path) -> None:
    before = time.time()
    request = ("/v2/models/linear/infer", LINEAR, {"X_Request_ID": "order-7"})
    (record,) = recorded(models, "linear", tmp_path, request, deployment="shop")
    assert record.request_id == "order-7"
    assert record.deployment == "shop"
    assert record.model_digest == models["linear"].digest
    assert record.status == 200
    assert before - 1 < record.time_s < time.time() + 1
    assert 0 < record.latency_ms < 10_000
    assert record.inputs is not None
    assert record.outputs is not None
    assert np.array_equal(record.inputs["x"], X)
    expected = load(models["linear"], threads=1).run({"x": X})
    assert record.outputs.keys() == expected.keys()
    assert all(np.allclose(record.outputs[name], array, atol=1e-6) for name, array in expected.items())


def test_the_number_of_the_protocol_is_the_number_in_the_log(models: dict[str, Artifact], tmp_path: Path) -> None:
    (record,) = recorded(models, "linear", tmp_path, ("/v2/models/linear/infer", {**LINEAR, "id": "v2-9"}, {}))
    assert record.request_id == "v2-9"


def test_a_refused_request_is_remembered_without_arrays(models: dict[str, Artifact], tmp_path: Path) -> None:
    (record,) = recorded(models, "linear", tmp_path, ("/predict", {"y": 1}, {}))
    assert record.status == 400
    assert record.inputs is None
    assert record.outputs is None


def test_records_of_a_table_are_kept_as_the_model_saw_them(models: dict[str, Artifact], tmp_path: Path) -> None:
    rows = [{"length": 1.5, "colour": "green"}, {"width": 2, "colour": "purple"}]
    (record,) = recorded(models, "table", tmp_path, ("/predict", rows, {}))
    assert record.inputs is not None
    assert np.array_equal(record.inputs["numbers"], [[1.5, np.nan], [np.nan, 2]], equal_nan=True)
    assert record.inputs["categories"].tolist() == [[2], [0]]


@pytest.mark.parametrize(("record", "has_image"), [("auto", False), ("outputs", False), ("all", True)])
def test_pictures_are_kept_only_if_asked_for(
    models: dict[str, Artifact], tmp_path: Path, record: str, has_image: bool
) -> None:
    pixels = np.zeros((8, 8), int).tolist()
    (kept,) = recorded(models, "picture", tmp_path, ("/predict", {"image": pixels}, {}), record=record)
    assert (kept.inputs is not None and "image" in kept.inputs) == has_image
    assert kept.outputs is not None


def test_nothing_is_kept_if_nothing_is_to_be(models: dict[str, Artifact], tmp_path: Path) -> None:
    assert recorded(models, "linear", tmp_path, ("/predict", {"x": [1, 2, 3, 4]}, {}), record="off") == []
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_is_not_remembered(models: dict[str, Artifact], tmp_path: Path) -> None:
    with serving(models["linear"].path, f"record_folder={tmp_path}", MLTOOL_API_KEY="s3cret") as server:
        assert server.post("/predict", {"x": [1, 2, 3, 4]}).status == 401
        assert server.stop() == 0
    assert list(read(tmp_path)) == []


def test_a_log_that_cannot_be_written_is_counted_and_requests_are_answered(
    models: dict[str, Artifact], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with serving(models["linear"].path, "served_model_name=linear", f"record_folder={tmp_path / 'file'}") as server:
        for _ in range(3):
            assert server.post("/predict", {"x": [1, 2, 3, 4]}).status == 200
        assert server.stop() == 0
    warnings = [line for line in server.said if "prediction log" in line]
    assert 0 < len(warnings) <= 2


def test_the_metrics_count_what_was_asked(models: dict[str, Artifact]) -> None:
    with serving(models["linear"].path, "served_model_name=linear@3", "record=off") as server:
        for _ in range(5):
            server.post("/v2/models/linear/infer", LINEAR)
        server.post("/predict", {"x": [[1, 2, 3, 4]] * 3})
        server.post("/predict", [{"x": [1, 2, 3, 4]}] * 3)
        server.get("/nothing")
        text = server.get("/metrics").body.decode()
        count = server.metric
        assert count("mltool_requests_total", route="infer", code="200", model="linear", version="3") == 5
        assert count("mltool_requests_total", route="predict", code="200") == 1
        assert count("mltool_requests_total", route="predict", code="400") == 1
        assert count("mltool_requests_total", code="404") == 1
        assert count("mltool_request_duration_seconds_count") == 7
        assert count("mltool_batch_size_count") == 6
        assert count("mltool_batch_size_sum") == 8
        assert count("mltool_batch_size_bucket", le="1.0") == 5
        assert count("mltool_batch_size_bucket", le="4.0") == 6
        assert count("mltool_requests_in_progress") == 1  # the one that asks
        assert count("mltool_queue_depth") == 0
        assert count("mltool_model_info", digest=models["linear"].digest) == 1
        assert count("mltool_model_loaded_timestamp_seconds") == pytest.approx(time.time(), abs=60)
        assert 0 < count("process_cpu_seconds_total") < 60
        assert count("process_resident_memory_bytes") > 10_000_000
    check_exposition(text)


def check_exposition(text: str) -> None:
    """Every sample belongs to a metric with a type and a help, and buckets only ever grow."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    helped = set(re.findall(r"^# HELP (\w+) .+$", text, re.MULTILINE))
    assert set(kinds) == helped
    below: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = re.fullmatch(r'(\w+)(?:\{((?:\w+="[^"\\]*",?)*)\})? ([0-9.e+-]+)', line)
        assert found, line
        name = found[1]
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert kinds.get(name) or kinds.get(base) == "histogram", name
        if name.endswith("_bucket"):
            assert float(found[3]) >= below.get(base, 0)
            below[base] = float(found[3])


def test_the_metrics_of_all_workers_are_added_up(models: dict[str, Artifact]) -> None:
    with serving(models["linear"].path, "served_model_name=linear", "workers=2", "record=off") as server:
        seen = set()
        for _ in range(60):
            server.post("/v2/models/linear/infer", LINEAR)
            seen.add(server.metric("mltool_requests_total", route="infer"))
        assert max(seen) == 60
        assert server.metric("mltool_requests_total", route="infer") == 60


@pytest.mark.parametrize("name", ['a"} 1\nevil{b="', "<b>", "a/b", "a@1/2", ""])
def test_a_name_that_would_break_paths_and_labels_is_refused(models: dict[str, Artifact], name: str) -> None:
    from mltool.core.errors import ConfigError
    from mltool.serving.config import ServeConfig
    from mltool.serving.served import load_served

    if name:
        with pytest.raises(ConfigError, match="cannot be a name"):
            load_served(models["linear"], ServeConfig(served_model_name=name))
    else:
        assert load_served(models["linear"], ServeConfig(served_model_name=name)).name == "linear"


def test_the_log_says_nothing_of_requests(linear: Running) -> None:
    linear.post("/predict", {"x": [1, 2, 3, 4]})
    linear.post("/predict", json.dumps({"x": "secret"}).encode())
    assert len(linear.said) == 1
