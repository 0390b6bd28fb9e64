"""Several workers behind one socket."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from mltool.artifacts.artifact import Artifact
from mltool.records.reading import read
from serving_testing import Running, serving

ROW = {"x": [1, 2, 3, 4]}


def workers_of(server: Running) -> list[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def wait_for(condition: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")


def test_a_worker_that_dies_is_replaced_and_the_others_answer_meanwhile(models: dict[str, Artifact]) -> None:
    with serving(models["linear"].path, "workers=2", "record=off") as server:
        before = workers_of(server)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        for _ in range(50):
            assert server.post("/predict", ROW).status == 200
        wait_for(lambda: len(workers_of(server)) == 2 and before[0] not in workers_of(server))
        wait_for(lambda: server.metric("mltool_requests_total", route="predict") == 50)
        assert server.stop() == 0
    assert any("worker 0 ended with -9, and is started again" in line for line in server.said)


def test_what_a_dead_worker_counted_and_recorded_is_kept(models: dict[str, Artifact], tmp_path: Path) -> None:
    with serving(models["linear"].path, "workers=2", f"record_folder={tmp_path}") as server:
        for _ in range(30):
            assert server.post("/predict", ROW).status == 200
        time.sleep(0.5)  # what is a moment old has been written
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: server.get("/ready").status == 200)
        assert server.metric("mltool_requests_total", route="predict") == 30
        assert server.stop() == 0
    assert sum(1 for _ in read(tmp_path)) == 30


def test_a_worker_that_cannot_start_again_is_tried_again(models: dict[str, Artifact], tmp_path: Path) -> None:
    """Somebody edits the model while it is served: nobody serves the edited one, and the other worker goes on."""
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(models["linear"].path, folder)
    with serving(folder, "workers=2", "record=off") as server:
        graph = (folder / "graph.onnx").read_bytes()
        (folder / "graph.onnx").write_bytes(graph + b"\0")
        os.kill(workers_of(server)[0], signal.SIGKILL)
        time.sleep(2)
        assert server.post("/predict", ROW).status == 200
        (folder / "graph.onnx").write_bytes(graph)
        wait_for(lambda: len(workers_of(server)) == 2)
        assert server.stop() == 0
    assert any("cannot start again" in line and "was changed" in line for line in server.said)


def test_workers_end_with_the_process_that_watches_them(models: dict[str, Artifact]) -> None:
    with serving(models["linear"].path, "workers=2", "record=off") as server:
        workers = workers_of(server)
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
