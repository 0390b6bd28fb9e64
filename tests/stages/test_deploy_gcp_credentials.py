"""Google's own credentials: none, wrong, expired, and what they may not do; nothing of this reaches Google."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gcp_testing import Project, gcp_project
from google.auth.credentials import AnonymousCredentials

import mltool
from mltool.artifacts.store import Store
from mltool.core.config.load import resolve
from mltool.core.errors import RemoteError
from mltool.integrations.google import run
from mltool.integrations.google.clients import Cloud, usual_project, usual_region
from mltool.integrations.google.identity import identity_token
from mltool.integrations.google.permissions import TO_MAKE, missing_permissions
from mltool.integrations.google.standins.cloud import StandIns
from mltool.stages.deploy.config import GcpJob
from mltool.stages.deploy.gcp import rollout
from mltool.stages.deploy.gcp.preflight import survey
from mltool.stages.deploy.gcp.wanted import placed, wanted
from small_models import linear_model

PLACE = ("project=p1", "region=europe-west1")


class Answers:
    """A server on this machine that says what Google would."""

    def __init__(self, status: int, body: Any) -> None:
        self.asked: list[tuple[str, Any]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, content))
                said = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any credentials, and without looking for a metadata server."""
    for variable in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    linear_model(Store(tmp_path / ".mltool"))


def refusal(*overrides: str) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        mltool.deploy.gcp("linear", *overrides)
    assert caught.value.exit_code == 5
    assert not mltool.deploy.list()
    return caught.value


def key_file(folder: Path, token_uri: str) -> Path:
    """The key of a service account, as `gcloud iam service-accounts keys create` writes it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    path = folder / "key.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "of-the-key",
                "private_key_id": "1",
                "private_key": text,
                "client_email": "ci@of-the-key.iam.gserviceaccount.com",
                "token_uri": token_uri,
            }
        )
    )
    return path


def test_without_credentials_the_command_that_gives_them_is_named() -> None:
    error = refusal(*PLACE)
    assert error.message == "there are no Google Cloud credentials"
    assert str(error.hint).startswith("`gcloud auth application-default login`")


def test_without_anything_everything_is_named_at_once() -> None:
    message = refusal().message
    assert message.count("\n") == 3
    assert all(text in message for text in ("no Google Cloud credentials", "no project is given", "no region is given"))


def test_a_key_file_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "nowhere.json")
    assert refusal(*PLACE).message == "the Google Cloud credentials cannot be used: File nowhere.json was not found"
    (tmp_path / "bad.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "bad.json")
    assert "does not have a valid type" in refusal(*PLACE).message


def test_credentials_that_have_expired_are_noticed_before_anything_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Answers(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file(tmp_path, f"{server.url}/token")))
    try:
        error = refusal(*PLACE)
        assert server.asked
    finally:
        server.stop()
    assert error.message == "the Google Cloud credentials have expired or were taken back"
    assert "gcloud auth application-default login" in str(error.hint)
    assert "PRIVATE KEY" not in f"{error.message}{error.hint}"


def test_without_a_network_signing_in_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file(tmp_path, "http://127.0.0.1:1/token")))
    assert refusal(*PLACE).message == "it was not possible to sign in: Google does not answer"


def test_the_project_is_that_of_the_environment_or_else_of_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert usual_project() is None
    assert usual_region() is None
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file(tmp_path, "http://127.0.0.1:1")))
    assert usual_project() == "of-the-key"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-environment")
    assert usual_project() == "of-the-environment"
    monkeypatch.setenv("CLOUDSDK_RUN_REGION", "europe-west4")
    assert usual_region() == "europe-west4"


def a_token() -> str:
    """As Google writes them, as far as it is read here."""
    parts = ({"alg": "RS256", "kid": "1"}, {"aud": "https://iris.run.app", "exp": int(time.time()) + 3600}, {})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def test_a_service_account_gets_a_token_for_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = a_token()
    server = Answers(200, {"id_token": token})
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file(tmp_path, f"{server.url}/token")))
    try:
        assert identity_token(Cloud("p1", "europe-west1"), "https://iris.run.app") == token
    finally:
        server.stop()
    assert b"assertion=" in server.asked[0][1]


def test_a_person_gets_the_token_of_gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    gcloud = folder / "gcloud"
    gcloud.write_text('#!/bin/sh\n[ "$*" = "auth print-identity-token" ] && echo of-gcloud\n')
    gcloud.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    cloud = Cloud("p1", "europe-west1")
    assert identity_token(cloud, "https://iris.run.app") == "of-gcloud"
    gcloud.write_text("#!/bin/sh\nexit 1\n")
    cloud.__dict__["credentials"] = AnonymousCredentials()
    with pytest.raises(RemoteError, match="these credentials give no identity token"):
        identity_token(cloud, "https://iris.run.app")
    assert identity_token(Cloud("p1", "europe-west1", "127.0.0.1:1"), "http://127.0.0.1:1") == "stand-in"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with StandIns() as stand_ins, gcp_project(stand_ins, tmp_path, monkeypatch) as made:
        yield made


def test_what_may_not_be_made_is_named_before_anything_is(project: Project) -> None:
    server = Answers(200, {"permissions": ["cloudbuild.builds.create"]})
    cloud = Cloud(project.id, "europe-west1", project.stand_ins.grpc_endpoint)
    cloud.resource_manager = server.url
    found = placed(wanted(project.first, resolve(GcpJob, "gcp", project.place), None), project.id, "europe-west1")
    try:
        with pytest.raises(RemoteError) as caught:
            survey(cloud, found)
        ((path, body),) = server.asked
    finally:
        server.stop()
    assert path == f"/v1/projects/{project.id}:testIamPermissions"
    assert json.loads(body) == {"permissions": list(TO_MAKE.values())}
    message = caught.value.message
    assert all(one in message for one in ("run.services.create", "artifactregistry.repositories.create"))
    assert "--role=roles/storage.admin" in message
    assert "cloudbuild" not in message
    project.deploy()
    cloud.resource_manager = None
    assert survey(cloud, found).has_bucket


@pytest.mark.parametrize(("status", "body"), [(403, {"error": {"code": 403}}), (200, []), (200, "text")])
def test_permissions_that_cannot_be_asked_for_are_no_obstacle(status: int, body: Any) -> None:
    server = Answers(status, body)
    cloud = Cloud("p1", "europe-west1")
    cloud.resource_manager = server.url
    cloud.__dict__["credentials"] = AnonymousCredentials()
    try:
        assert missing_permissions(cloud) == []
    finally:
        server.stop()
    assert missing_permissions(cloud) == [], "nor is a server that is gone"


def test_who_may_not_ask_a_private_service_is_told_what_to_be_granted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.deploy()
    server = Answers(403, {})
    monkeypatch.setattr(rollout, "_ANSWER_S", 0.2)
    found = placed(wanted(project.first, resolve(GcpJob, "gcp", project.place), None), project.id, "europe-west1")
    service = run.find_service(project.cloud, "linear")
    assert service is not None
    try:
        with pytest.raises(RemoteError, match="is ready, but you may not ask it") as caught:
            rollout._asked(project.cloud, found, replace(service, url=server.url), service.latest)
    finally:
        server.stop()
    assert "gcloud run services add-iam-policy-binding linear" in str(caught.value.hint)
    assert "--role=roles/run.invoker" in str(caught.value.hint)
