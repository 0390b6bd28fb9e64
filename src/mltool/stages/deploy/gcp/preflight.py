"""One look at everything before anything is begun: what is missing is said all at once, and what is there is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mltool.core import events
from mltool.core.errors import RemoteError
from mltool.integrations.google import build, clients, registry, run, storage
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import REGISTRY, RUN, STORAGE, CutOffError, explained, grant
from mltool.integrations.google.permissions import TO_MAKE, missing_permissions
from mltool.integrations.google.run_messages import Revision, Service
from mltool.stages.deploy.gcp.wanted import Wanted, placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is there already."""

    service: Service | None
    revisions: tuple[Revision, ...]
    is_public: bool
    has_repository: bool
    has_bucket: bool


def connect(wanted: Wanted) -> tuple[Cloud, Wanted]:
    """Find out where to deploy and as whom.

    Raises:
        RemoteError: The project, the region or the credentials are missing, or several of them.
    """
    config, problems = wanted.config, []
    project = config.project or (None if config.emulator else clients.usual_project())
    region = config.region or clients.usual_region()
    cloud = Cloud(project or "", region or "", config.emulator or "")
    try:
        with explained(cloud, RUN, "sign in"):
            cloud.sign_in()
    except RemoteError as error:
        problems.append(error)
    if not project:
        problems.append(
            RemoteError(
                "no project is given",
                hint="set `project=` or GOOGLE_CLOUD_PROJECT; `gcloud projects list` shows yours",
            )
        )
    if not region:
        problems.append(
            RemoteError(
                "no region is given",
                hint="set `region=`, such as `region=europe-west1`; `gcloud run regions list` shows all",
            )
        )
    expect_none(problems, wanted)
    return cloud, placed(wanted, str(project), str(region))


def survey(cloud: Cloud, wanted: Wanted) -> Standing:
    """Look at all that a deployment needs, in as many calls at once.

    Raises:
        RemoteError: An API is not enabled, a permission is missing, or a service does not answer; all of it is said.
    """
    config = wanted.config
    looks: dict[str, Callable[[], Any]] = {
        "missing": lambda: missing_permissions(cloud),
        "service": lambda: _look_at_service(cloud, wanted.name),
        "build": lambda: build.find_build(cloud, build.MARK),
        "repository": lambda: registry.has_repository(cloud, config.repository),
        "bucket": lambda: storage.has_bucket(cloud, str(config.bucket)),
    }
    found: dict[str, Any] = {}
    problems: list[RemoteError] = []
    with events.track("look at the project", len(looks), "looks") as tracker, ThreadPoolExecutor(len(looks)) as pool:
        for name, future in {name: pool.submit(look) for name, look in looks.items()}.items():
            try:
                found[name] = future.result()
            except RemoteError as error:
                problems.append(error)
            tracker.advance(1)
    expect_none([*problems, *_not_permitted(cloud, found)], wanted)
    service, revisions, public = found["service"]
    return Standing(
        service=service,
        revisions=revisions,
        is_public=public,
        has_repository=found["repository"],
        has_bucket=found["bucket"],
    )


def _not_permitted(cloud: Cloud, found: Mapping[str, Any]) -> list[RemoteError]:
    """One error for each thing that is not there and may not be made."""
    is_there = {
        RUN: found.get("service", (None,))[0] is not None,
        REGISTRY: bool(found.get("repository")),
        STORAGE: bool(found.get("bucket")),
    }
    return [
        RemoteError(
            f"no permission `{TO_MAKE[api]}` in the project `{cloud.project}`, which {api.name} takes",
            hint=grant(cloud, api.role),
        )
        for api in found.get("missing", ())
        if not is_there.get(api, False)
    ]


def _look_at_service(cloud: Cloud, name: str) -> tuple[Service | None, tuple[Revision, ...], bool]:
    service = run.find_service(cloud, name)
    if service is None:
        return None, (), False
    return service, run.revisions_of(cloud, name), run.is_public(cloud, name)


def expect_none(problems: list[RemoteError], wanted: Wanted) -> None:
    """Say every problem that was found, each with what puts it right.

    Raises:
        RemoteError: There is one.
    """
    cut = [error for error in problems if isinstance(error, CutOffError)]  # the others would say the same
    others = [error for error in problems if not isinstance(error, CutOffError)]
    distinct = list({(error.message, error.hint): error for error in (*others, *cut[:1])}.values())
    if len(distinct) == 1:
        raise distinct[0]
    if distinct:
        lines = [f"{error.message}; {error.hint}" if error.hint else error.message for error in distinct]
        listed = "".join(f"\n  {number}. {line}" for number, line in enumerate(lines, 1))
        raise RemoteError(f"`{wanted.model.label}` cannot be deployed to Google Cloud yet:{listed}")
