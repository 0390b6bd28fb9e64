from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mltool.artifacts.store import Store
from serving_testing import serving
from small_models import linear_model, picture_model, table_model

FIRST_LINE = re.compile(r"answers on (http://\S+?),")


def mltool(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mltool", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def outcome(*arguments: str, **environment: str) -> tuple[int, str]:
    process = mltool(*arguments, **environment)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_the_command_serves_the_latest_model_until_it_is_stopped(store: Store) -> None:
    linear_model(store)
    process = mltool("serve", "port=0")
    assert process.stderr is not None
    line = ""
    while not FIRST_LINE.search(line):
        line = process.stderr.readline()
        assert line
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "stopped; every request was answered" in said


def test_a_port_in_use_is_named_before_anything_loads(store: Store) -> None:
    linear_model(store)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = outcome("serve", f"port={port}")
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "port=0" in said


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["serve", "nothing"], 3, "there is no model `nothing`"),
        (["serve", "port=99999"], 2, "`serve.port` must be at least 0 and at most 65535"),
        (["serve", "workers=0"], 2, "`serve.workers` must be at least 1"),
        (["serve", "host=nowhere.invalid"], 2, "`host=nowhere.invalid` is no address"),
        (["serve", "host=8.8.8.8", "port=0"], 1, "cannot listen on 8.8.8.8"),
        (["serve", "backend=openvinno"], 2, "did you mean `openvino`?"),
        (["serve", "record=some"], 2, "one of `auto`, `all`, `outputs`, `off`"),
        (["serve", "api_key_file=missing.txt", "port=0"], 2, "`serve.api_key_file=missing.txt` cannot be read"),
        (["serve", "a", "b"], 2, "`b` is one too many"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(
    store: Store, arguments: list[str], code: int, expected: str
) -> None:
    linear_model(store)
    ended, said = outcome(*arguments)
    assert ended == code, said
    assert expected in said
    assert "Traceback" not in said


def test_a_key_file_without_a_key_is_refused(store: Store, tmp_path: Path) -> None:
    linear_model(store)
    (tmp_path / "key").write_text("\nsecond line\n")
    code, said = outcome("serve", "api_key_file=key", "port=0")
    assert code == 2
    assert "has no key in its first line" in said


def test_an_edited_model_is_not_served(store: Store) -> None:
    model = linear_model(store)
    (model.path / "graph.onnx").write_bytes((model.path / "graph.onnx").read_bytes() + b"\0")
    code, said = outcome("serve", "port=0")
    assert code == 3
    assert "was changed after it was written" in said


def test_who_opens_the_server_to_others_is_warned_unless_there_is_a_key(store: Store) -> None:
    model = linear_model(store)
    with serving(model.path, "host=0.0.0.0") as server:
        assert server.stop() == 0
    assert any("everyone who reaches 0.0.0.0 can ask the model" in line for line in server.said)
    with serving(model.path, "host=0.0.0.0", MLTOOL_API_KEY="s3cret") as server:
        assert server.stop() == 0
    assert not any("everyone" in line for line in server.said)


def test_a_second_worker_that_fails_is_the_error_of_all(store: Store, tmp_path: Path) -> None:
    model = linear_model(store)
    folder = tmp_path / "copy"
    shutil.copytree(model.path, folder)
    process = subprocess.run(
        [sys.executable, "-m", "mltool.stages.serve", str(folder), "port=0", "workers=2", "served_model_name=a/b"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert process.returncode == 2
    assert "`a/b` cannot be a name" in process.stderr


HEAVY = {
    "torch",
    "onnx",
    "scipy",
    "omegaconf",
    "yaml",
    "typer",
    "rich",
    "pyarrow",
    "wandb",
    "dvc",
    "google",
    "openvino",
}
LOADED = "import sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


@pytest.mark.parametrize(("make", "has_pillow"), [(linear_model, False), (table_model, False), (picture_model, True)])
def test_serving_loads_nothing_that_it_does_not_need(
    store: Store, tmp_path: Path, make: object, has_pillow: bool
) -> None:
    model = make(store)  # type: ignore[operator]
    code = (
        "import atexit, json, sys\n"
        "from pathlib import Path\n"
        "def note():\n"
        "    Path('loaded.json').write_text(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))\n"
        "atexit.register(note)\n"
        "from mltool.stages.serve.__main__ import main\n"
        f"sys.exit(main([{str(model.path)!r}, 'port=0', 'record_folder=records']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    port = re.search(r":(\d+)", process.stderr.readline())
    assert port
    import http.client

    samples = {"linear": {"x": [1, 2, 3, 4]}, "table": {"length": 1}, "picture": {"image": [[0] * 8] * 8}}
    connection = http.client.HTTPConnection("127.0.0.1", int(port[1]))
    connection.request("POST", "/predict", json.dumps(samples[str(model.name)]))
    assert connection.getresponse().status == 200
    connection.close()
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0
    loaded = set(json.loads((tmp_path / "loaded.json").read_text()))
    assert not HEAVY & loaded
    assert ("PIL" in loaded) == has_pillow


def test_predictions_are_recorded_where_a_deployment_of_the_name_looks_for_them(store: Store) -> None:
    from mltool.records.ledger import Ledger
    from mltool.records.reading import read

    linear_model(store)
    process = mltool("serve", "port=0", "deployment=shop")
    assert process.stderr is not None
    line = process.stderr.readline()
    while not FIRST_LINE.search(line):
        line = process.stderr.readline()
    port = int(FIRST_LINE.search(line)[1].rpartition(":")[2])  # type: ignore[index]
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/predict", json.dumps({"x": [1, 2, 3, 4]}))
    assert connection.getresponse().status == 200
    connection.close()
    time.sleep(0.1)
    process.terminate()
    process.communicate(timeout=30)
    (record,) = read(Ledger(store.root).predictions("shop"))
    assert record.deployment == "shop"
