"""The first half of the road, from somebody's trained weights to a deployment that answers, told from end to end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands_testing import mltool, post, running, sources

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of somebody else with its data and its trained weights; nothing in it is of ours."""
    folder = tmp_path_factory.mktemp("road") / "corn"
    shutil.copytree(ROOT / "examples" / "own-network", folder, ignore=shutil.ignore_patterns(".mltool", "__pycache__"))
    script = folder / "train.py"
    own_lines = [line for line in script.read_text().splitlines() if "mltool" not in line]
    script.write_text("\n".join(own_lines) + "\n")
    for name in ("make_data.py", "train.py"):
        subprocess.run([sys.executable, name], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.timeout(600)
def test_from_trained_weights_to_a_deployment_that_answers(project: Path) -> None:
    before = sources(project)
    keys = ("model.target=src.model:Net", "data.source=digits.pt", "name=corn")
    imported = mltool(project, "import", "trained.pt", *keys)
    assert imported["ref"] == "corn@1"
    assert {check["status"] for check in imported["checks"]} == {"passed"}

    quantized = mltool(project, "quantize", "corn@1")
    assert quantized["ref"] == "corn@2"  # smaller, whatever else it is on this machine
    compiled = mltool(project, "compile", "corn@1")
    assert len(compiled["candidates"]) > 4
    fast = compiled["ref"]  # or `corn@1` itself, where nothing is faster

    profiled = mltool(project, "profile", "corn@1", "corn@2", "batch_sizes=1,8", "duration_s=0.2")
    assert [one["model"] for one in profiled["profiles"]] == ["corn@1", "corn@2"]
    assert all(cell["latency_p50_ms"] > 0 for one in profiled["profiles"] for cell in one["batches"])

    pictures = (project / "five_pictures.npy").read_bytes()
    expected = [one["label"] for one in mltool(project, "predict", "corn@1", "input=five_pictures.npy")["predictions"]]

    with running(project, "serve", fast, "port=0") as served:
        answers = post(served["url"], pictures, "application/x-npy")["predictions"]
        assert [one["label"] for one in answers] == expected
        row = np.load(project / "five_pictures.npy")[0]
        body = json.dumps({"images": row.tolist()}).encode()
        assert post(served["url"], body)["predictions"][0]["label"] == expected[0]

    first = mltool(project, "deploy", "local", "corn@1", "port=0")
    try:
        assert post(first["url"], pictures, "application/x-npy")["model"] == "corn@1"
        second = mltool(project, "deploy", "local", "corn@2")
        assert second["url"] == first["url"]
        answer = post(first["url"], pictures, "application/x-npy")
        assert answer["model"] == "corn@2"
        assert [one["label"] for one in answer["predictions"]] == expected
        mltool(project, "deploy", "rollback")
        assert post(first["url"], pictures, "application/x-npy")["model"] == "corn@1"
        status = mltool(project, "deploy", "status")
        assert status["state"] == "answers"
        assert status["num_predictions_recorded"] >= 3
    finally:
        mltool(project, "deploy", "stop")
    assert sources(project) == before
