"""Cloud Build, in our words: an image is built from a folder that lies packed in a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import BUILD, explained
from mltool.integrations.google.storage import Stored

_BUILDER = "gcr.io/cloud-builders/docker"
MARK = "mltool"
"""On every build of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build as it is now.

    Attributes:
        is_waiting: Whether it has not begun yet.
        digest: Of the image, once it is built; None until then, and if it failed.
        problem: Why it failed; empty if it has not.
    """

    id: str
    is_waiting: bool
    is_done: bool
    digest: str | None
    problem: str
    log_url: str


def find_build(cloud: Cloud, mark: str) -> Build | None:
    """The build with a mark that waits or runs, if there is one."""
    from google.cloud.devtools import cloudbuild_v1

    request = cloudbuild_v1.ListBuildsRequest(
        parent=cloud.parent,
        project_id=cloud.project,
        filter=f'tags="{mark}" AND (status="QUEUED" OR status="WORKING")',
    )
    with explained(cloud, BUILD, "list builds"):
        client = cloud.client(cloudbuild_v1.CloudBuildClient)
        # The filter is what the answer is asked to fit; what it does fit is looked at here.
        found = [_build(one) for one in client.list_builds(request=request, **cloud.reading) if mark in one.tags]
    return next((build for build in found if not build.is_done), None)


def start_build(
    cloud: Cloud, source: Stored, image: str, mark: str, *, timeout_s: int, service_account: str | None
) -> Build:
    """Begin to build and push `image`, with a mark to find the build by."""
    from google.cloud.devtools import cloudbuild_v1

    # With its generation: what is built is what was uploaded, whoever else may write to the bucket.
    place = cloudbuild_v1.StorageSource(bucket=source.bucket, object_=source.name, generation=source.generation)
    build = cloudbuild_v1.Build(
        source=cloudbuild_v1.Source(storage_source=place),
        steps=[cloudbuild_v1.BuildStep(name=_BUILDER, args=["build", "--tag", image, "."])],
        images=[image],
        timeout={"seconds": timeout_s},
        options=cloudbuild_v1.BuildOptions(logging=cloudbuild_v1.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY),
        tags=[MARK, mark],
    )
    if service_account:
        build.service_account = f"projects/{cloud.project}/serviceAccounts/{service_account}"
    request = cloudbuild_v1.CreateBuildRequest(parent=cloud.parent, project_id=cloud.project, build=build)
    with explained(cloud, BUILD, "begin the build"):
        started = cloud.client(cloudbuild_v1.CloudBuildClient).create_build(request=request, **cloud.writing)
        return _build(started.metadata.build)


def read_build(cloud: Cloud, build_id: str) -> Build:
    from google.cloud.devtools import cloudbuild_v1

    request = cloudbuild_v1.GetBuildRequest(
        name=f"{cloud.parent}/builds/{build_id}", project_id=cloud.project, id=build_id
    )
    with explained(cloud, BUILD, f"look at the build `{build_id}`"):
        return _build(cloud.client(cloudbuild_v1.CloudBuildClient).get_build(request=request, **cloud.reading))


def _build(found: Any) -> Build:
    status = found.status.name
    images = list(found.results.images) if found.results else []
    is_done = status not in ("STATUS_UNKNOWN", "PENDING", "QUEUED", "WORKING")
    detail = " ".join((found.failure_info.detail or found.status_detail or "").split())
    return Build(
        id=found.id,
        is_waiting=status in ("STATUS_UNKNOWN", "PENDING", "QUEUED"),
        is_done=is_done,
        digest=images[0].digest if status == "SUCCESS" and images else None,
        problem="" if not is_done or status == "SUCCESS" else (detail or status.lower().replace("_", " ")),
        log_url=found.log_url,
    )
