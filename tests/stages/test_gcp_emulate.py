"""`mltool gcp emulate`, as a person or a script starts and ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from mltool.core.processes import identity
from mltool.stages.gcp.config import EmulateConfig, EmulateJob
from mltool.stages.gcp.emulate import Endpoints, emulate
from standins_testing import ADDRESS, BUCKET, FILES, PARENT, SERVER, Clients, ask, packed, template, until

SAYING_PID = SERVER.replace('os.environ.get(self.path.strip("/"), os.environ.get("WORD", ""))', "str(os.getpid())")


@contextmanager
def emulating(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "mltool", "gcp", "emulate", "engine=process", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=90)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_to_export_and_ends_when_it_is_told_to(number: int) -> None:
    with emulating() as process:
        assert process.stdout is not None
        lines = [first_line(process), first_line(process)]
        name, _, value = lines[0].partition("=")
        assert name == "export MLTOOL_GCP__EMULATOR"
        host, _, port = value.partition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        assert lines[1].startswith("export STORAGE_EMULATOR_HOST=http://127.0.0.1:")
        process.send_signal(number)
        _, said = process.communicate(timeout=90)
        assert process.returncode == 0, said
        assert "nothing of it runs any more" in said
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=5)


def test_a_script_gets_one_object() -> None:
    with emulating("--json") as process:
        said = json.loads(first_line(process))
    assert said["variables"] == {"MLTOOL_GCP__EMULATOR": said["grpc"], "STORAGE_EMULATOR_HOST": said["storage"]}
    assert Path(said["folder"]) == Path(".mltool/gcp").absolute()
    assert "gcp/" in Path(".mltool/.gitignore").read_text().splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_that_was_deployed_outlives_it(number: int) -> None:
    with emulating("--json") as process:
        said = json.loads(first_line(process))
        clients = Clients(SimpleNamespace(grpc_endpoint=said["grpc"], storage_endpoint=said["storage"]))
        clients.make_repository()
        found = clients.build(f"{ADDRESS}/iris:1", {**FILES, "server.py": SAYING_PID})
        service = clients.create("iris", template(found), invoker_iam_disabled=True)
        pid = int(ask(service.uri)[1])
        assert identity(pid) is not None
        process.send_signal(number)
        process.communicate(timeout=90)
        clients.close()
    until(lambda: identity(pid) is None)


def test_buckets_stay_and_what_was_built_goes_with_the_next_run() -> None:
    ports: tuple[str, ...] = ()
    for run in (1, 2):
        with emulating("--json", *ports) as process:
            said = json.loads(first_line(process))
            ports = (f"port={said['grpc'].rpartition(':')[2]}", f"storage_port={said['storage'].rpartition(':')[2]}")
            clients = Clients(SimpleNamespace(grpc_endpoint=said["grpc"], storage_endpoint=said["storage"]))
            if run == 1:
                clients.make_repository()
                clients.build(f"{ADDRESS}/iris:1")
            else:
                assert clients.storage.bucket(BUCKET).blob("source/iris:1.tgz").download_as_bytes() == packed(FILES)
                assert not list(clients.registry.list_repositories(parent=PARENT))
                assert [path.name for path in Path(".mltool/gcp").iterdir()] == ["storage"]
            clients.close()


def test_what_runs_already_in_a_project_is_not_started_again() -> None:
    with emulating("--quiet") as first:
        first_line(first)
        with emulating() as second:
            _, said = second.communicate(timeout=90)
            assert second.returncode == 1
            assert "`mltool gcp emulate` runs already, with the same" in said


def test_an_engine_that_is_asked_for_and_does_not_work_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mltool", "gcp", "emulate", "engine=podman"]
    ended = subprocess.run(command, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "error: no container engine works here: podman is not installed",
        "hint: install it, or use `engine=process`, which needs none",
    ]


def test_a_folder_that_cannot_be_made_is_named() -> None:
    Path(".mltool").write_text("no folder")
    with emulating() as process:
        _, said = process.communicate(timeout=90)
    assert process.returncode == 1
    assert f"error: `{Path('.mltool/gcp').absolute()}` cannot be written: Not a directory" in said


@pytest.mark.parametrize("key", ["port", "storage_port"])
def test_a_port_that_is_taken_is_named(key: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with emulating(f"{key}={port}") as process:
            _, said = process.communicate(timeout=90)
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("module", ["gcp_storage_emulator", "googleapiclient"])
def test_without_the_extra_it_says_what_to_install(module: str) -> None:
    code = (
        "import importlib.util as util, sys\n"
        "from mltool.cli.app import run\n"
        "find = util.find_spec\n"
        f"util.find_spec = lambda name, *rest: None if name == {module!r} else find(name, *rest)\n"
        "sys.exit(run(['gcp', 'emulate']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"error: the stand-ins of Google Cloud need `{module}`, which is not installed",
        'hint: `pip install "mltool[emulate]"`',
    ]
    assert not Path(".mltool/gcp").exists()


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("port=99999", "`emulate.port` must be at least 0 and at most 65535, not `99999`"),
        ("prot=1", "did you mean `port`?"),
        ("here", "`here` is not KEY=VALUE"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_starts(argument: str, expected: str) -> None:
    with emulating(argument) as process:
        _, said = process.communicate(timeout=90)
    assert process.returncode == 2
    assert expected in said


def test_what_signals_did_before_they_do_again_afterwards(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Endpoints] = []

    def ready(endpoints: Endpoints) -> None:
        seen.append(endpoints)
        os.kill(os.getpid(), signal.SIGTERM)

    emulate(EmulateJob(emulate=EmulateConfig(project="p1")), tmp_path / ".mltool", ready)
    assert signal.getsignal(signal.SIGTERM) is before
    assert seen[0].grpc.startswith("127.0.0.1:")
