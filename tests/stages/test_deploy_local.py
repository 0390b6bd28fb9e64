"""Models in service on this machine, in the background."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import mltool
from mltool.artifacts.checks import Check
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, CheckError, ConfigError, MltoolError
from mltool.records.deployment import Deployment
from mltool.records.ledger import Ledger
from mltool.records.reading import read
from small_models import linear_model, slow_model

ROW = json.dumps({"x": [1, 2, 3, 4]}).encode()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(store: Store) -> Iterator[None]:
    yield
    for name in Ledger(store.root).names():
        mltool.deploy.stop(name)


def ask(deployment: Deployment) -> dict[str, Any]:
    assert deployment.live is not None
    connection = http.client.HTTPConnection("127.0.0.1", deployment.live.port, timeout=30)
    try:
        connection.request("POST", "/predict", ROW)
        response = connection.getresponse()
        body = json.loads(response.read())
        assert response.status == 200, body
        return dict(body)
    finally:
        connection.close()


def test_a_model_answers_in_the_background_until_it_is_stopped(store: Store) -> None:
    linear_model(store)
    deployment = mltool.deploy.local("linear", port=0)
    assert ask(deployment)["model"] == "linear@1"
    status = mltool.deploy.status("linear")
    assert status["state"] == "answers"
    assert [event["event"] for event in status["history"]] == ["start", "deploy"]
    assert [row["deployment"] for row in mltool.deploy.list()] == ["linear"]
    assert "answers on http://127.0.0.1" in mltool.deploy.logs().path.read_text()
    mltool.deploy.stop()
    assert mltool.deploy.status()["state"] == "stopped"
    with pytest.raises(ConnectionError):
        ask(deployment)
    (record,) = read(Ledger(store.root).predictions("linear"))
    assert (record.deployment, record.status) == ("linear", 200)


def test_a_second_version_takes_over_on_the_same_address_and_the_first_comes_back(store: Store) -> None:
    linear_model(store)
    linear_model(store, seed=1)
    first = mltool.deploy.local("linear@1", port=0, max_batch_size=7)
    second = mltool.deploy.local("linear@2")
    assert first.live is not None
    assert second.live is not None
    assert second.live.url == first.live.url
    assert second.live.pid == first.live.pid
    assert second.current is not None
    assert second.current.config["max_batch_size"] == 7  # what is not given stays
    assert ask(second)["model"] == "linear@2"
    back = mltool.deploy.rollback("linear")
    assert ask(back)["model"] == "linear@1"
    with pytest.raises(ArtifactError, match="`linear` has no earlier version that answered"):
        mltool.deploy.rollback("linear")
    assert ask(back)["model"] == "linear@1"
    events = [event["event"] for event in mltool.deploy.status()["history"]]
    assert events == ["start", "deploy", "start", "deploy", "rollback"]


class Clients:
    """Ask on kept and on new connections until they are told to stop; what is not answered is noted."""

    def __init__(self, port: int, num_clients: int = 6) -> None:
        self.models: set[str] = set()
        self.num_answered, self.lost = 0, []
        self.is_over = False
        self._port, self._lock = port, threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n % 2 == 0,)) for n in range(num_clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, keep: bool) -> None:
        connection = None
        while not self.is_over:
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
                connection.request("POST", "/predict", ROW)
                response = connection.getresponse()
                body = json.loads(response.read())
                with self._lock:
                    self.models.add(body.get("model", str(body)))
                    self.num_answered += response.status == 200
                    if response.status != 200:
                        self.lost.append(str(body))
                if not keep or response.getheader("connection") == "close":
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.lost.append(repr(error))
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def end(self) -> None:
        self.is_over = True
        for thread in self._threads:
            thread.join(30)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_while_models_change_under_load(store: Store, workers: int) -> None:
    linear_model(store)
    linear_model(store, seed=1)
    deployment = mltool.deploy.local("linear@1", port=0, workers=workers)
    assert deployment.live is not None
    assert deployment.live.port is not None
    clients = Clients(deployment.live.port)
    time.sleep(0.3)
    mltool.deploy.local("linear@2")
    time.sleep(0.3)
    mltool.deploy.rollback("linear")
    time.sleep(0.3)
    mltool.deploy.local("linear@2")
    time.sleep(0.3)
    clients.end()
    assert clients.lost == []
    assert clients.models == {"linear@1", "linear@2"}
    assert clients.num_answered > 100
    mltool.deploy.stop()
    assert sum(1 for _ in read(Ledger(store.root).predictions("linear"))) == clients.num_answered


def test_a_model_that_failed_a_check_is_refused_or_accepted_by_name(store: Store) -> None:
    failed = linear_model(store, checks=[Check.failed("robustness", "it falls over")])
    assert failed.ref is None
    with pytest.raises(CheckError, match="`robustness` failed") as caught:
        mltool.deploy.local(failed.digest[:12], port=0)
    assert caught.value.exit_code == 4
    assert Ledger(store.root).names() == []
    deployment = mltool.deploy.local(failed.digest[:12], "deployment=risky", port=0, accept_failed_checks=True)
    assert deployment.current is not None
    assert deployment.current.accepted_failed_checks == ("robustness",)
    ask(deployment)


def test_a_version_that_does_not_start_leaves_the_old_one_answering(store: Store) -> None:
    linear_model(store)
    deployment = mltool.deploy.local("linear@1", port=0)
    linear_model(store, seed=1)
    with pytest.raises(MltoolError, match="version 2 of `linear` failed: `no/name` cannot be a name") as caught:
        mltool.deploy.local("linear@2", served_model_name="no/name")
    assert "log.txt" in str(caught.value.hint)
    assert ask(deployment)["model"] == "linear@1"
    assert [version["state"] for version in mltool.deploy.status()["versions"]] == ["live", "failed"]
    with pytest.raises(ArtifactError, match="no earlier version"):
        mltool.deploy.rollback()


def test_a_port_in_use_fails_the_deployment_and_nothing_stays(store: Store) -> None:
    linear_model(store)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MltoolError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            mltool.deploy.local("linear", port=port)
    assert mltool.deploy.status()["state"] == "stopped"
    assert ask(mltool.deploy.local("linear", port=0))["model"] == "linear@1"


def test_a_model_that_was_edited_is_not_deployed(store: Store) -> None:
    model = linear_model(store)
    (model.path / "graph.onnx").write_bytes(b"another graph")
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        mltool.deploy.local("linear", port=0)
    assert Ledger(store.root).names() == []


def test_a_deployment_whose_process_was_killed_is_seen_and_can_be_deployed_again(store: Store) -> None:
    linear_model(store)
    deployment = mltool.deploy.local("linear", port=0)
    assert deployment.live is not None
    assert deployment.live.pid is not None
    os.kill(deployment.live.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while mltool.deploy.status()["state"] != "ended by itself":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = mltool.deploy.local("linear")
    assert ask(again)["model"] == "linear@1"


def test_a_worker_that_dies_is_replaced_and_noted(store: Store) -> None:
    linear_model(store)
    deployment = mltool.deploy.local("linear", port=0)
    assert deployment.live is not None
    pid = deployment.live.pid
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while "worker_died" not in [event["event"] for event in mltool.deploy.status()["history"]]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ask(deployment)["model"] == "linear@1"  # waits in the socket until the new worker is there


def test_a_model_in_service_cannot_be_deleted(store: Store) -> None:
    linear_model(store)
    mltool.deploy.local("linear", port=0)
    with pytest.raises(MltoolError, match="`linear@1` is deployed as `linear`"):
        mltool.models.rm("linear@1")
    mltool.deploy.stop()
    assert mltool.models.rm("linear@1") == ["linear@1"]


def test_a_dry_run_says_what_would_change_and_starts_nothing(store: Store) -> None:
    linear_model(store)
    plan = mltool.deploy.plan_local("linear", port=8123)
    assert plan["replaces"] is None
    assert "port=8123" in plan["config"]
    assert Ledger(store.root).names() == []
    mltool.deploy.local("linear", port=0)
    plan = mltool.deploy.plan_local("linear", workers=2)
    assert plan["replaces"] == "version 1, linear@1"
    assert plan["changes"] == ["workers=2"]


def test_another_key_than_that_of_the_running_process_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    linear_model(store)
    mltool.deploy.local("linear", port=0)
    monkeypatch.setenv("MLTOOL_API_KEY", "s3cret")
    with pytest.raises(MltoolError, match="`linear` runs with another key than MLTOOL_API_KEY holds now"):
        mltool.deploy.local("linear")
    mltool.deploy.stop()
    mltool.deploy.local("linear")
    with pytest.raises(AssertionError, match="the key is missing or wrong"):
        ask(mltool.deploy.local("linear"))
    monkeypatch.delenv("MLTOOL_API_KEY")
    with pytest.raises(MltoolError, match="another key"):
        mltool.deploy.local("linear")


def test_of_two_that_deploy_at_once_one_starts_the_process_and_both_know_it(store: Store) -> None:
    linear_model(store)
    linear_model(store, seed=1)
    command = [sys.executable, "-m", "mltool", "deploy", "local", "deployment=both", "port=0"]
    both = [subprocess.Popen([*command, f"linear@{n}"], stderr=subprocess.PIPE, text=True) for n in (1, 2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert 0 in [process.returncode for process in both], said
    assert not any("Traceback" in text for text in said)
    deployment = Ledger(store.root).read("both")
    ask(deployment)
    mltool.deploy.stop("both")
    with pytest.raises(ConnectionError):
        ask(deployment)


def test_a_request_that_runs_is_answered_while_models_change_and_while_it_is_stopped(store: Store) -> None:
    slow_model(store)
    linear_model(store)
    deployment = mltool.deploy.local("slow", deployment="shop", port=0)
    assert deployment.live is not None
    port = deployment.live.port
    body = json.dumps({"x": [4_000_000, 1, 2, 3]}).encode()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(post, port, body)
        time.sleep(0.5)
        started = time.monotonic()
        mltool.deploy.local("linear", deployment="shop")
        assert not running.done(), "the machine is too fast for this test"
        changed_s = time.monotonic() - started
        mltool.deploy.stop("shop")
        assert running.result()["model"] == "slow@1"
        assert changed_s < time.monotonic() - started


def post(port: int | None, body: bytes) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/predict", body)
        return dict(json.loads(connection.getresponse().read()))
    finally:
        connection.close()


def test_a_rollback_to_a_model_that_was_changed_for_another_fails_and_the_current_one_stays(store: Store) -> None:
    first = linear_model(store)
    second = linear_model(store, seed=1)
    mltool.deploy.local("linear@1", port=0)
    deployment = mltool.deploy.local("linear@2")
    shutil.rmtree(first.path)
    shutil.copytree(second.path, first.path)  # a sound model, but another one
    with pytest.raises(MltoolError, match="holds another model than the one that was deployed"):
        mltool.deploy.rollback()
    assert ask(deployment)["model"] == "linear@2"


def test_which_deployment_is_meant_must_be_clear(store: Store) -> None:
    with pytest.raises(ArtifactError, match="there is no deployment yet"):
        mltool.deploy.status()
    linear_model(store)
    mltool.deploy.local("linear", deployment="a", port=0)
    mltool.deploy.local("linear", deployment="b", port=0)
    with pytest.raises(ConfigError, match="which deployment is meant") as caught:
        mltool.deploy.stop()
    assert "a, b" in str(caught.value.hint)
    with pytest.raises(ArtifactError, match="there is no deployment `c`"):
        mltool.deploy.stop("c")


def test_a_deployment_that_is_to_keep_nothing_keeps_nothing(store: Store) -> None:
    linear_model(store)
    ask(mltool.deploy.local("linear", port=0, record="off"))
    mltool.deploy.stop()
    assert not Ledger(store.root).predictions("linear").exists()


def test_a_full_disk_under_the_log_loses_records_and_no_answers(store: Store, tmp_path: Path) -> None:
    linear_model(store)
    deployment = mltool.deploy.local("linear", port=0)
    folder = Ledger(store.root).predictions("linear")
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("a file where the folder was")
    for _ in range(5):
        assert ask(deployment)["model"] == "linear@1"
    folder.unlink()
    deadline = time.monotonic() + 20
    while not folder.is_dir():
        ask(deployment)
        assert time.monotonic() < deadline
        time.sleep(0.1)
