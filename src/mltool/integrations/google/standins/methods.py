"""The calls that the stand-ins know: what each is on the wire, and where Google describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.cloud import artifactregistry_v1, run_v2
from google.cloud.devtools import cloudbuild_v1
from google.iam.v1 import iam_policy_pb2
from google.longrunning import operations_pb2

RUN, BUILD, REGISTRY, STORAGE = "run.v2", "cloudbuild.v1", "artifactregistry.v1", "storage.v1"
_SERVICES, _REVISIONS = "google.cloud.run.v2.Services", "google.cloud.run.v2.Revisions"
_CLOUD_BUILD = "google.devtools.cloudbuild.v1.CloudBuild"
_REGISTRY = "google.devtools.artifactregistry.v1.ArtifactRegistry"
_OPERATIONS = "google.longrunning.Operations"


@dataclass(frozen=True, slots=True)
class Method:
    """One call.

    Attributes:
        service: Full name of the gRPC service.
        request: The class of the request, of protobuf itself.
        document: The discovery document, such as `run.v2`, and `id` the method in it.
        resource: The field of the request that names what is called upon.
        body: The field that REST sends as the body, `*` if it is all but the resource, empty if there is none.
        routed_by: What the routing header holds: `location`, or the name of `resource`.
    """

    service: str
    rpc: str
    request: Any
    document: str
    id: str
    resource: str
    body: str = ""
    routed_by: str = ""

    @property
    def name(self) -> str:
        """As faults and the list of calls know it, such as `Services.CreateService`."""
        return f"{self.service.rpartition('.')[2]}.{self.rpc}"

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.rpc}"

    @property
    def api(self) -> str:
        return f"{self.document.partition('.')[0]}.googleapis.com"


def _run(service: str, rpc: str, id_: str, resource: str, body: str = "") -> Method:
    request = getattr(run_v2, f"{rpc}Request").pb()
    return Method(service, rpc, request, RUN, f"projects.locations.services.{id_}", resource, body, "location")


def _iam(service: str, document: str, id_: str) -> list[Method]:
    return [
        Method(
            service,
            f"{rpc[0].upper()}{rpc[1:]}",
            getattr(iam_policy_pb2, f"{rpc[0].upper()}{rpc[1:]}Request"),
            document,
            f"projects.locations.{id_}.{rpc}",
            "resource",
            "" if rpc == "getIamPolicy" else "*",
            "resource",
        )
        for rpc in ("getIamPolicy", "setIamPolicy", "testIamPermissions")
    ]


def _build(rpc: str, id_: str, resource: str, body: str = "") -> Method:
    request = getattr(cloudbuild_v1, f"{rpc}Request").pb()
    return Method(_CLOUD_BUILD, rpc, request, BUILD, f"projects.locations.builds.{id_}", resource, body, "location")


def _registry(rpc: str, id_: str, resource: str, body: str = "") -> Method:
    request = getattr(artifactregistry_v1, f"{rpc}Request").pb()
    return Method(_REGISTRY, rpc, request, REGISTRY, f"projects.locations.repositories.{id_}", resource, body, resource)


def _operation(rpc: str, id_: str, body: str = "") -> Method:
    request = getattr(operations_pb2, f"{rpc}Request")
    return Method(_OPERATIONS, rpc, request, RUN, f"projects.locations.operations.{id_}", "name", body, "name")


METHODS = {
    method.name: method
    for method in (
        _run(_SERVICES, "CreateService", "create", "parent", "service"),
        _run(_SERVICES, "GetService", "get", "name"),
        _run(_SERVICES, "ListServices", "list", "parent"),
        _run(_SERVICES, "UpdateService", "patch", "service.name", "service"),
        _run(_SERVICES, "DeleteService", "delete", "name"),
        *_iam(_SERVICES, RUN, "services"),
        _run(_REVISIONS, "GetRevision", "revisions.get", "name"),
        _run(_REVISIONS, "ListRevisions", "revisions.list", "parent"),
        _run(_REVISIONS, "DeleteRevision", "revisions.delete", "name"),
        _build("CreateBuild", "create", "parent", "build"),
        _build("GetBuild", "get", "name"),
        _build("ListBuilds", "list", "parent"),
        _build("CancelBuild", "cancel", "name", "*"),
        _registry("CreateRepository", "create", "parent", "repository"),
        _registry("GetRepository", "get", "name"),
        _registry("ListRepositories", "list", "parent"),
        _registry("DeleteRepository", "delete", "name"),
        _registry("GetTag", "packages.tags.get", "name"),
        _operation("GetOperation", "get"),
        _operation("WaitOperation", "wait", "*"),
    )
}
"""By name, such as `Services.CreateService`."""

OF_STORAGE = {
    f"{group.title()}.{verb.title()}": f"{group}.{verb}"
    for group, verbs in {
        "buckets": ("insert", "get", "list", "patch", "delete"),
        "objects": ("insert", "get", "list", "patch", "delete", "copy", "rewrite", "compose"),
    }.items()
    for verb in verbs
}
"""The calls of Cloud Storage, which are over HTTP, and what its discovery document calls them."""
NAMES = {*METHODS, *OF_STORAGE, "Storage.Other"}
