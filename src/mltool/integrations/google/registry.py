"""Artifact Registry, in our words: repositories of images, and what an image is by its digest."""

from __future__ import annotations

import time

from mltool.core.errors import RemoteError
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import AGAIN, REGISTRY, explained

_MAKING_S = 120.0


def has_repository(cloud: Cloud, repository: str) -> bool:
    from google.api_core.exceptions import NotFound
    from google.cloud import artifactregistry_v1

    with explained(cloud, REGISTRY, f"look at the repository `{repository}`"):
        client = cloud.client(artifactregistry_v1.ArtifactRegistryClient)
        try:
            client.get_repository(name=f"{cloud.parent}/repositories/{repository}", **cloud.reading)
        except NotFound:
            return False
    return True


def make_repository(cloud: Cloud, repository: str) -> None:
    """Make a repository of images; one that somebody else made just now is as good."""
    from google.api_core.exceptions import AlreadyExists
    from google.cloud import artifactregistry_v1

    wanted = artifactregistry_v1.Repository(
        format_=artifactregistry_v1.Repository.Format.DOCKER,
        description="Images of models, built by mltool",
        labels={"managed-by": "mltool"},
    )
    with explained(cloud, REGISTRY, f"make the repository `{repository}`"):
        client = cloud.client(artifactregistry_v1.ArtifactRegistryClient)
        try:
            making = client.create_repository(
                parent=cloud.parent, repository_id=repository, repository=wanted, **cloud.writing
            )
        except AlreadyExists:
            return
        # Not `making.result`: where the network is cut, it goes on asking for minutes.
        started, operations = time.monotonic(), client.transport.operations_client
        while not operations.get_operation(making.operation.name, **cloud.reading).done:
            if time.monotonic() - started > _MAKING_S:
                raise TimeoutError
            time.sleep(cloud.poll_s)
    if not has_repository(cloud, repository):
        raise RemoteError(f"the repository `{repository}` was not made", hint=AGAIN)


def find_digest(cloud: Cloud, repository: str, image: str, tag: str) -> str | None:
    """The digest of the image that a tag names; None if there is none."""
    from google.api_core.exceptions import NotFound
    from google.cloud import artifactregistry_v1

    with explained(cloud, REGISTRY, f"look for the image `{image}:{tag}`"):
        client = cloud.client(artifactregistry_v1.ArtifactRegistryClient)
        name = f"{cloud.parent}/repositories/{repository}/packages/{image}/tags/{tag}"
        try:
            found = client.get_tag(name=name, **cloud.reading)
        except NotFound:
            return None
    return str(found.version).rpartition("/")[2] or None
