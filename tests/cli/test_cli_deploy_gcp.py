"""`mltool deploy gcp` and what comes after it, as people and scripts see it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mltool.artifacts.store import Store
from mltool.cli.app import run
from mltool.integrations.google.standins.cloud import StandIns
from mltool.integrations.google.standins.faults import Faults
from small_models import linear_model

pytestmark = pytest.mark.xdist_group("gcp")
PLACE = ("project=p1", "region=europe-west1")
Output = pytest.CaptureFixture[str]


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIns]:
    linear_model(Store(tmp_path / ".mltool"))
    linear_model(Store(tmp_path / ".mltool"), seed=3)
    with StandIns() as running:
        monkeypatch.setenv("MLTOOL_GCP__EMULATOR", running.grpc_endpoint)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.storage_endpoint)
        yield running


def as_json(capsys: Output, *arguments: str) -> Any:
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_costs_money_takes_an_explicit_model_or_yes(stand_ins: StandIns, capsys: Output) -> None:
    assert run(["deploy", "gcp", *PLACE]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: nobody can be asked: deploy `linear@2` to Google Cloud, which costs money?" in err
    assert "hint: give `--yes` to go ahead" in err
    assert not stand_ins.calls
    assert run(["deploy", "gcp", *PLACE, "--yes", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_a_deployment_is_shown_with_how_to_ask_it_and_what_to_do_next(stand_ins: StandIns, capsys: Output) -> None:
    assert run(["deploy", "gcp", "linear@1", *PLACE]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "linear  gcp, version 1, linear@1"
    assert any(line.startswith("served_error") for line in lines)
    shown = {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in lines if line}
    assert shown["traffic"].startswith("100 % to linear-")
    assert '-H "Authorization: Bearer $(gcloud auth print-identity-token)"' in shown["ask"]
    assert shown["next"] == "mltool deploy status linear"
    assert "the log of the build is at" in err

    assert run(["deploy", "status", "linear"]) == 0
    out, _ = capsys.readouterr()
    assert "traffic  100 % to linear-" in out
    assert "made     repository mltool" in out
    assert "recorded in" not in out
    assert run(["deploy", "logs", "linear"]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("command  gcloud run services logs read linear --project=p1 --region=europe-west1\n")
    assert run(["deploy", "list"]) == 0
    assert "in service" in capsys.readouterr().out


def test_a_rollback_is_shown_with_what_gets_the_traffic_and_how_to_ask_it(stand_ins: StandIns, capsys: Output) -> None:
    first = as_json(capsys, "deploy", "gcp", "linear@1", *PLACE)
    as_json(capsys, "deploy", "gcp", "linear@2")
    assert run(["deploy", "rollback", "linear"]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("linear  gcp, version 1, linear@1\n")
    assert f"traffic 100 % to {first['revision']}\n" in out
    assert '@FILE -H "Authorization: Bearer $(gcloud auth print-identity-token)"\n' in out


def test_the_whole_way_in_json(stand_ins: StandIns, capsys: Output) -> None:
    plan = as_json(capsys, "deploy", "gcp", "linear@1", *PLACE, "--dry-run")
    assert plan["target"] == "gcp"
    assert plan["steps"]
    first = as_json(capsys, "deploy", "gcp", "linear@1", *PLACE)
    assert {"url", "service", "revision", "image_digest", "build", "traffic", "checks", "accepted"} <= set(first)
    second = as_json(capsys, "deploy", "gcp", "linear@2", "public=true")
    assert second["traffic"] == {second["revision"]: 100}
    assert as_json(capsys, "deploy", "rollback", "--dry-run")["revision"] == first["revision"]
    assert as_json(capsys, "deploy", "rollback")["current_number"] == 1
    status = as_json(capsys, "deploy", "status")
    assert status["traffic"] == {first["revision"]: 100}
    assert as_json(capsys, "deploy", "logs")["command"].startswith("gcloud run services logs read linear")
    assert as_json(capsys, "deploy", "stop", "--dry-run")["deletes"]
    assert as_json(capsys, "deploy", "stop", "--yes")["live"] is None
    assert as_json(capsys, "deploy", "status")["state"] == "stopped"


def test_a_service_is_deleted_only_after_a_question(
    stand_ins: StandIns, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["deploy", "gcp", "linear@1", *PLACE]) == 0
    capsys.readouterr()
    assert run(["deploy", "stop", "linear"]) == 2
    assert "nobody can be asked: delete the service `linear` in p1, europe-west1" in capsys.readouterr().err
    assert run(["deploy", "stop", "linear", "--dry-run"]) == 0
    assert "the service `linear` in p1" in capsys.readouterr().out
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "no\n", raising=False)
    assert run(["deploy", "stop", "linear"]) == 0
    assert "nothing was deleted" in capsys.readouterr().err
    assert run(["deploy", "status", "--quiet"]) == 0
    assert capsys.readouterr().out == "answers\n"
    monkeypatch.setattr(sys.stdin, "readline", lambda: "y\n", raising=False)
    assert run(["deploy", "stop", "linear"]) == 0
    out, err = capsys.readouterr()
    assert "`linear` is stopped" in out
    assert "`gcloud artifacts repositories delete mltool --project=p1 --location=europe-west1`" in " ".join(err.split())
    assert run(["deploy", "status"]) == 0
    out, _ = capsys.readouterr()
    assert "image europe-west1-docker.pkg.dev" in out
    assert "revision linear-" not in out


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("region=Europe", "`gcp.region=Europe` is no region"),
        ("project=My_Project", "`gcp.project=My_Project` is no ID of a project"),
        ("service=Iris", "`gcp.service=Iris` is no name of a service"),
        (f"service={'a' * 50}", f"`gcp.service={'a' * 50}` is no name of a service"),
        ("emulator=nowhere", "`gcp.emulator=nowhere` is no address of stand-ins"),
        ("service_account=me", "`gcp.service_account=me` is no e-mail of an account"),
        ("cpu=3", "`gcp.cpu=3`: Cloud Run has no such instances"),
        ("cpu=0.5", "`gcp.cpu=0.5` with `concurrency=8`: a part of a CPU takes one request at a time"),
        ("memory_gib=8", "`gcp.memory_gib=8` does not go with `cpu=1`"),
        ("min_instances=5", "`gcp.min_instances=5` is more than `max_instances=3`"),
        ("max_instances=0", "`gcp.max_instances` must be at least 1"),
        ("traffic_percent=101", "`gcp.traffic_percent` must be at least 1 and at most 100"),
        ("projct=x", "unknown key `projct`"),
        ("memory=2", "unknown key `memory`"),
        ("base_image=a b", "`base_image=a b` cannot name an image"),
    ],
)
def test_a_value_that_cannot_be_is_named_before_anything_is_asked(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, key: str, message: str
) -> None:
    monkeypatch.setenv("MLTOOL_GCP__EMULATOR", "127.0.0.1:1")
    linear_model(Store(tmp_path / ".mltool"))
    assert run(["deploy", "gcp", "linear", *PLACE, key]) == 2
    assert message in capsys.readouterr().err


def test_stand_ins_that_are_not_there_are_named(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear_model(Store(tmp_path / ".mltool"))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    assert run(["deploy", "gcp", "linear", *PLACE, "emulator=127.0.0.1:1"]) == 5
    err = capsys.readouterr().err
    assert "STORAGE_EMULATOR_HOST is not set" in err
    assert "the stand-in on `127.0.0.1:1` does not answer" in err
    assert "`mltool gcp emulate`" in err


def test_a_run_that_is_interrupted_or_killed_is_continued_by_the_same_command(
    stand_ins: StandIns, capsys: Output
) -> None:
    stand_ins.faults = Faults(operation_delay_s=2)
    command = [sys.executable, "-m", "mltool", "deploy", "gcp", "linear@1", *PLACE]

    def begun(until: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        while stand_ins.calls.count(until) == 0:
            assert process.poll() is None
            time.sleep(0.05)
        return process

    interrupted = begun("CloudBuild.GetBuild")
    interrupted.send_signal(signal.SIGINT)
    _, err = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert "warning: left in the project: repository `mltool`, bucket `p1-mltool-build`" in err
    assert "hint: run the same command again: it goes on where it stopped" in err
    killed = begun("Services.CreateService")
    killed.kill()
    killed.communicate(timeout=60)
    assert run(["deploy", "list"]) == 0
    assert "unfinished" in capsys.readouterr().out
    made = as_json(capsys, "deploy", "gcp", "linear@1", *PLACE)
    assert made["version"] == 1
    assert made["traffic"] == {made["revision"]: 100}
    assert stand_ins.calls.count("CloudBuild.CreateBuild") == 1
    assert stand_ins.calls.count("Services.CreateService") == 1
