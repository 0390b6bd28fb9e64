"""Weights & Biases without a network: how the mode is decided, and what an offline run leaves on the disk."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mltool.integrations.wandb import decide_mode

KEY = "0" * 40


@pytest.fixture(autouse=True)
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody is logged in, and the server is a port of this machine at which nobody listens."""
    home = tmp_path / "home"
    home.mkdir()
    for name in os.environ:
        if name.startswith(("WANDB_", "MLTOOL_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.chdir(tmp_path)
    return home


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def listening(answer: bytes | None = None) -> Iterator[str]:
    """The URL of a server that answers every request with `answer`, or takes it and never answers."""
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.mark.parametrize("wanted", ["online", "offline"])
def test_a_mode_that_is_asked_for_is_not_decided_again(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert decide_mode(wanted) == wanted


@pytest.mark.parametrize("mode", ["online", "offline", "disabled"])
def test_the_environment_decides_for_auto(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    assert decide_mode("auto") == mode


def test_without_a_key_it_is_offline_whoever_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        assert decide_mode("auto") == "offline"


def test_with_a_key_and_a_server_that_answers_it_is_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with listening() as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        assert decide_mode("auto") == "online"


def test_with_a_key_and_a_dead_server_it_is_offline_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    started = time.monotonic()
    assert decide_mode("auto") == "offline"
    assert time.monotonic() - started < 5.0


def test_a_server_whose_name_is_unknown_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.invalid")
    assert decide_mode("auto") == "offline"


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (f"machine 127.0.0.1 login user password {KEY}", "online"),
        (f"machine api.wandb.ai login user password {KEY}", "offline"),
        ("machine 127.0.0.1 login", "offline"),
        ("nonsense", "offline"),
        ("", "offline"),
    ],
)
def test_a_login_in_netrc_counts_for_its_own_server(
    stranger: Path, content: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stranger / ("_netrc" if sys.platform == "win32" else ".netrc")).write_text(content)
    (stranger / ".netrc").chmod(0o600)
    with listening() as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        assert decide_mode("auto") == mode


def run_script(code: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: wandb starts services, threads and exit handlers."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=120
    )


TRACK = """
    import json, sys, time
    from pathlib import Path

    from mltool.core import events
    from mltool.core.errors import MltoolError
    from mltool.integrations import wandb as ours

    said = []
    started = time.monotonic()
    ours._INIT_TIMEOUT_S = 2.0  # patience in a test
    with events.subscribed(lambda event: said.append([event.level, event.text])):
        try:
            with ours.tracking("p", MODE, "run-1", Path("folder").resolve(), {"lr": 0.1}, resume=False) as on_epoch:
                on_epoch({"epoch": 1, "train_loss": 0.5})
                on_epoch({"epoch": 2, "train_loss": 0.25})
        except MltoolError as error:
            said.append([str(error.exit_code), error.message, error.hint])
    print(json.dumps({"said": said, "seconds": time.monotonic() - started}))
"""


def tracked(mode: str) -> tuple[list[list[str]], float]:
    done = run_script(TRACK.replace("MODE", repr(mode)))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return found["said"], found["seconds"]


def offline_run(folder: Path) -> Path:
    (found,) = folder.rglob("wandb/offline-run-*")
    return found


def test_training_writes_an_offline_run_and_says_how_to_upload_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mltool", "train", "epochs=2", "seed=1", "wandb_project=digits-demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    run = offline_run(tmp_path / ".mltool" / "runs")
    assert f"Weights & Biases ran offline; upload with `wandb sync {run}`" in done.stderr
    (written,) = run.glob("*.wandb")
    content = written.read_bytes()
    for text in (b"digits-demo", b"validation_accuracy", b"train_loss", b"batch_size"):
        assert text in content, text
    local = [json.loads(line) for line in (run.parent.parent / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in local] == [1, 2]


def test_an_offline_run_holds_the_config_and_every_epoch(tmp_path: Path) -> None:
    said, _ = tracked("offline")
    run = offline_run(tmp_path)
    assert said == [["info", f"Weights & Biases ran offline; upload with `wandb sync {run}`"]]
    (written,) = run.glob("*.wandb")
    content = written.read_bytes()
    for text in (b"run-1", b"train_loss", b"0.5", b"0.25", b"lr"):
        assert text in content, text


def test_disabled_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert tracked("auto")[0] == []
    assert not list(tmp_path.rglob("*.wandb"))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", id="error"),
        pytest.param(None, id="silence", marks=pytest.mark.soak),  # wandb itself waits longer than it is told to
    ],
)
def test_a_server_that_listens_but_fails_does_not_stop_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with listening(answer) as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        assert decide_mode("auto") == "online"
        said, seconds = tracked("auto")
    assert said[0][0] == "warning"
    assert said[0][1].startswith("Weights & Biases cannot be used: ")
    assert said[0][1].endswith("; it runs offline")
    assert said[1][1] == f"Weights & Biases ran offline; upload with `wandb sync {offline_run(tmp_path)}`"
    assert seconds < 60.0


def test_online_without_a_login_is_one_clear_error(tmp_path: Path) -> None:
    said, _ = tracked("online")
    assert said == [
        [
            "5",
            "Weights & Biases cannot be used: No API key configured. Use `wandb login` to log in",
            "run `wandb login`, or use `wandb_mode=offline`",
        ]
    ]
    assert not list(tmp_path.rglob("*.wandb"))
