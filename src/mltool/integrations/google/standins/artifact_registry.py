"""Artifact Registry: repositories, and the images that builds push into them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from google.cloud import artifactregistry_v1
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from mltool.integrations.google.standins.checking import parts_of
from mltool.integrations.google.standins.images import Images
from mltool.integrations.google.standins.operations import Operations
from mltool.integrations.google.standins.refusals import RefusalError, exists, invalid, not_found

_TAG = re.compile(
    r"projects/[^/]+/locations/[^/]+/repositories/(?P<repository>[^/]+)/packages/(?P<package>[^/]+)/tags/(?P<tag>[^/]+)"
)
_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
Repository = artifactregistry_v1.Repository


class ArtifactRegistry:
    def __init__(self, operations: Operations, images: Images) -> None:
        self._operations, self._images, self._lock = operations, images, threading.Lock()
        self.repositories: dict[str, Repository] = {}

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "ArtifactRegistry.CreateRepository": self.create,
            "ArtifactRegistry.GetRepository": self.get,
            "ArtifactRegistry.ListRepositories": self.list_,
            "ArtifactRegistry.DeleteRepository": self.delete,
            "ArtifactRegistry.GetTag": self.get_tag,
        }

    def create(self, request: Any) -> operations_pb2.Operation:
        request = artifactregistry_v1.CreateRepositoryRequest.wrap(request)
        if not _ID.fullmatch(request.repository_id):
            raise invalid(
                f"repository_id `{request.repository_id}` must match {_ID.pattern}: at most 63 letters, digits and "
                "hyphens, a letter first"
            )
        if request.repository.format_ == Repository.Format.FORMAT_UNSPECIFIED:
            raise invalid("format must be given")
        _, location = parts_of(request.parent)
        name = f"{request.parent}/repositories/{request.repository_id}"
        repository = Repository(request.repository)
        repository.name = name
        with self._lock:
            if name in self.repositories:
                raise exists("the repository already exists")
            self.repositories[name] = repository
        project, _ = parts_of(name)
        self._images.add_repository(f"{location}-docker.pkg.dev/{project}/{request.repository_id}")
        return self._operations.start(request.parent, lambda: Repository.pb(repository), _no_metadata)

    def get(self, request: Any) -> Any:
        return Repository.pb(self._known(request.name))

    def list_(self, request: Any) -> Any:
        found = [one for name, one in self.repositories.items() if name.startswith(f"{request.parent}/")]
        return artifactregistry_v1.ListRepositoriesResponse.pb()(repositories=[Repository.pb(one) for one in found])

    def delete(self, request: Any) -> operations_pb2.Operation:
        self._known(request.name)
        with self._lock:
            del self.repositories[request.name]
        project, location = parts_of(request.name)
        self._images.remove_repository(f"{location}-docker.pkg.dev/{project}/{request.name.rpartition('/')[2]}")
        return self._operations.start(request.name.partition("/repositories/")[0], empty_pb2.Empty, _no_metadata)

    def get_tag(self, request: Any) -> Any:
        """The version, which is the digest, that a tag of a package names."""
        project, location = parts_of(request.name)
        found = _TAG.fullmatch(request.name)
        if found is None:
            raise invalid(f"`{request.name}` names no tag")
        package = unquote(found["package"])
        address = f"{location}-docker.pkg.dev/{project}/{found['repository']}/{package}:{found['tag']}"
        try:
            image = self._images.find(address)
        except RefusalError:
            raise not_found("Requested entity was not found.") from None
        version = f"{request.name.partition('/tags/')[0]}/versions/{image.digest}"
        return artifactregistry_v1.Tag.pb(artifactregistry_v1.Tag(name=request.name, version=version))

    def _known(self, name: str) -> Repository:
        if name not in self.repositories:
            raise not_found("Requested entity was not found.")
        return self.repositories[name]


def _no_metadata() -> Any:
    return artifactregistry_v1.OperationMetadata.pb()()
