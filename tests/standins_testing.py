"""Google's own clients for the stand-ins, and images that start at once."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import artifactregistry_v1, run_v2, storage
from google.cloud.devtools import cloudbuild_v1
from google.iam.v1 import iam_policy_pb2, policy_pb2

PROJECT = "p1"
PARENT = f"projects/{PROJECT}/locations/europe-west1"
BUCKET = "p1-mltool-build"
ADDRESS = f"europe-west1-docker.pkg.dev/{PROJECT}/mltool"
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
PATIENCE_S = 90
ClientT = TypeVar("ClientT")

SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = os.environ.get(self.path.strip("/"), os.environ.get("WORD", "")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
DOCKERFILE = """\
FROM python:3.11-slim
ENV WORD=nothing
COPY server.py /app/server.py
CMD ["python", "-S", "/app/server.py"]
"""
FILES = {"Dockerfile": DOCKERFILE, "server.py": SERVER}


Files = Mapping[str, str | bytes]


def packed(files: Files) -> bytes:
    """A gzipped tar; the same files are the same bytes."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(whole.getvalue(), mtime=0)


@dataclass
class Clients:
    """Google's clients, as anybody would use them, on insecure channels."""

    stand_ins: Any
    """Where they answer: `grpc_endpoint` and `storage_endpoint`."""

    @cached_property
    def _channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.stand_ins.grpc_endpoint)

    def _client(self, kind: type[ClientT]) -> ClientT:
        transport: Any = kind
        return kind(transport=transport.get_transport_class("grpc")(channel=self._channel))  # type: ignore[call-arg]

    @cached_property
    def services(self) -> run_v2.ServicesClient:
        return self._client(run_v2.ServicesClient)

    @cached_property
    def revisions(self) -> run_v2.RevisionsClient:
        return self._client(run_v2.RevisionsClient)

    @cached_property
    def builds(self) -> cloudbuild_v1.CloudBuildClient:
        return self._client(cloudbuild_v1.CloudBuildClient)

    @cached_property
    def registry(self) -> artifactregistry_v1.ArtifactRegistryClient:
        return self._client(artifactregistry_v1.ArtifactRegistryClient)

    @cached_property
    def storage(self) -> storage.Client:
        options = {"api_endpoint": self.stand_ins.storage_endpoint}
        return storage.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)

    def close(self) -> None:
        self._channel.close()
        self.storage.close()

    # What every deployment does

    def make_repository(self, name: str = "mltool") -> artifactregistry_v1.Repository:
        wanted = artifactregistry_v1.Repository(format_="DOCKER")
        operation = self.registry.create_repository(parent=PARENT, repository_id=name, repository=wanted)
        return operation.result(timeout=PATIENCE_S)

    def upload(self, name: str, files: Files | bytes) -> None:
        bucket = self.storage.lookup_bucket(BUCKET) or self.storage.create_bucket(BUCKET, location="europe-west1")
        content = files if isinstance(files, bytes) else packed(files)
        bucket.blob(name).upload_from_string(content, content_type="application/gzip")

    def begin_build(self, image: str, files: Files | bytes = b"", **changes: Any) -> Any:
        """Upload and begin; `changes` are fields of the build."""
        name = f"source/{image.rpartition('/')[2]}.tgz"
        self.upload(name, files or FILES)
        place = cloudbuild_v1.StorageSource(bucket=BUCKET, object_=name)
        step = cloudbuild_v1.BuildStep(name="gcr.io/cloud-builders/docker", args=["build", "--tag", image, "."])
        options = cloudbuild_v1.BuildOptions(logging=cloudbuild_v1.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY)
        values = {
            "source": cloudbuild_v1.Source(storage_source=place),
            "steps": [step],
            "images": [image],
            "options": options,
            **changes,
        }
        request = cloudbuild_v1.CreateBuildRequest(parent=PARENT, project_id=PROJECT, build=values)
        return self.builds.create_build(request=request)

    def build(self, image: str, files: Files | bytes = b"", patience_s: float = PATIENCE_S) -> str:
        """The image with its digest."""
        built = self.begin_build(image, files).result(timeout=patience_s)
        return f"{image.rpartition(':')[0]}@{built.results.images[0].digest}"

    def create(self, service_id: str, template: run_v2.RevisionTemplate, **values: Any) -> run_v2.Service:
        service = run_v2.Service(template=template, **values)
        operation = self.services.create_service(parent=PARENT, service_id=service_id, service=service)
        return operation.result(timeout=PATIENCE_S)

    def update(self, service: run_v2.Service, *paths: str) -> run_v2.Service:
        mask = {"paths": list(paths)} if paths else None
        return self.services.update_service(service=service, update_mask=mask).result(timeout=PATIENCE_S)

    def publish(self, service: str) -> policy_pb2.Policy:
        policy = self.services.get_iam_policy(request=iam_policy_pb2.GetIamPolicyRequest(resource=service))
        policy.bindings.append(policy_pb2.Binding(role="roles/run.invoker", members=["allUsers"]))
        return self.services.set_iam_policy(request=iam_policy_pb2.SetIamPolicyRequest(resource=service, policy=policy))


def template(image: str, revision: str = "", **values: Any) -> run_v2.RevisionTemplate:
    """As mltool sends it; further values are variables."""
    probe = run_v2.Probe(
        http_get=run_v2.HTTPGetAction(path="/health", port=8000),
        period_seconds=1,
        timeout_seconds=1,
        failure_threshold=60,
    )
    container = run_v2.Container(
        image=image,
        ports=[run_v2.ContainerPort(container_port=8000)],
        env=[run_v2.EnvVar(name=name, value=value) for name, value in values.items()],
        resources=run_v2.ResourceRequirements(limits={"cpu": "1", "memory": "1Gi"}, cpu_idle=True),
        startup_probe=probe,
    )
    return run_v2.RevisionTemplate(
        revision=revision,
        containers=[container],
        max_instance_request_concurrency=8,
        timeout={"seconds": 60},
        execution_environment=run_v2.ExecutionEnvironment.EXECUTION_ENVIRONMENT_GEN2,
    )


def to(revision: str, percent: int, tag: str = "") -> run_v2.TrafficTarget:
    return run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=percent, tag=tag)


def ask(url: str, path: str = "/", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer; a name such as `X_Token` is the header `X-Token`."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(f"{url}{path}", body, named)  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that will come about."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)
