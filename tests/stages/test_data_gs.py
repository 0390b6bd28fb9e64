"""Datasets kept in a bucket: Google's storage is stood for by an emulator on loopback."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from data_remotes import run_in, write_table

pytest.importorskip("gcp_storage_emulator", reason="the extra `emulate` brings it")
pytestmark = pytest.mark.xdist_group("gs")

SERVE = """
import sys, time
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket="bucket").run()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """The address of an emulator with a bucket `bucket`."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    write_table(folder / "iris.csv")
    assert run_in(folder, "data", "add", "source=iris.csv").returncode == 0
    return folder


def colleague_of(project: Path) -> Path:
    there = project.parent / "there"
    shutil.copytree(project / ".mltool" / "refs", there / ".mltool" / "refs")
    return there


def bucket_at(address: str) -> storage.Bucket:
    client = storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": address})
    return client.bucket("bucket")


def test_a_dataset_goes_through_a_bucket_and_damage_there_is_refused(
    emulator: str, project: Path, tmp_path: Path
) -> None:
    environment = {"STORAGE_EMULATOR_HOST": emulator}
    url = f"remote=gs://bucket/{tmp_path.name}"
    began = time.monotonic()
    pushed = run_in(project, "data", "push", url, "--json", **environment)
    assert pushed.returncode == 0, pushed.stderr
    assert time.monotonic() - began < 50, "gcsfs asked something of the emulator that it does not speak"
    assert json.loads(pushed.stdout)["remote"] == url.removeprefix("remote=")
    again = run_in(project, "data", "push", url, "--json", **environment)
    assert json.loads(again.stdout)["datasets"][0]["num_moved"] == 0
    there = colleague_of(project)
    listed = run_in(there, "data", "list", "--ask", url, **environment)
    assert "in the remote" in listed.stdout
    pulled = run_in(there, "data", "pull", url, "--json", **environment)
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(pulled.stdout)["datasets"][0]["digest"] == json.loads(pushed.stdout)["datasets"][0]["digest"]

    shutil.rmtree(there / ".mltool" / "artifacts")
    bucket = bucket_at(emulator)
    blobs = [blob for blob in bucket.list_blobs(prefix=tmp_path.name) if not blob.name.endswith(".dir")]
    bucket.blob(blobs[0].name).upload_from_string(b"damaged" * 9)
    refused = run_in(there, "data", "pull", url, **environment)
    assert refused.returncode == 3
    assert f"`gs://bucket/{blobs[0].name}` is not what its hash says" in refused.stderr
    assert not list((there / ".mltool" / "artifacts").iterdir())
    bucket.blob(blobs[0].name).delete()
    missing = run_in(there, "data", "pull", url, **environment)
    assert missing.returncode == 3
    assert f"`gs://bucket/{blobs[0].name}` is missing" in missing.stderr


def test_a_bucket_that_is_not_there_is_named(emulator: str, project: Path) -> None:
    process = run_in(project, "data", "push", "remote=gs://nowhere/x", STORAGE_EMULATOR_HOST=emulator)
    assert process.returncode == 5
    assert process.stderr.splitlines()[0] == "error: there is no bucket `nowhere`"
    assert "gcloud storage buckets create gs://nowhere" in process.stderr
    assert not (project / ".mltool" / "refs" / "remote").exists()


class Refusing(BaseHTTPRequestHandler):
    """Answers as Google does to somebody without rights."""

    def do_GET(self) -> None:
        body = json.dumps(
            {"error": {"code": 403, "message": "ada@x.org does not have storage.objects.list access to the bucket"}}
        ).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None: ...


def test_no_access_is_said_in_one_line_with_what_google_says(project: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        process = run_in(project, "data", "push", "remote=gs://bucket/x", STORAGE_EMULATOR_HOST=address)
        server.shutdown()
    assert process.returncode == 5
    error, hint = process.stderr.splitlines()
    assert error.startswith("error: no access to `gs://bucket/x`: ")
    assert "storage.objects.list" in error
    assert "gcloud auth application-default login" in hint


def test_nobody_answers(project: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    process = run_in(project, "data", "push", "remote=gs://bucket/x", STORAGE_EMULATOR_HOST=address)
    assert process.returncode == 5
    assert process.stderr.startswith("error: `gs://bucket/x` cannot be reached: ")


def test_credentials_that_cannot_be_read_are_no_access(project: Path) -> None:
    key = project / "key.json"
    key.write_text('{"type": "service_account"}')
    process = run_in(
        project, "data", "push", "remote=gs://bucket/x", GOOGLE_APPLICATION_CREDENTIALS=str(key), NO_GCE_CHECK="true"
    )
    assert process.returncode == 5
    assert process.stderr.startswith("error: no access to `gs://bucket/x`: "), process.stderr
    none = run_in(project, "data", "push", "remote=gs://bucket/x", HOME=str(project), NO_GCE_CHECK="true")
    assert none.returncode == 5
    assert none.stderr.startswith("error: no access to `gs://bucket/x`: Your default credentials were not found")
