"""The service as a whole: what gets its traffic, and whether somebody else changes it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mltool.core import events
from mltool.core.errors import ConfigError, RemoteError
from mltool.integrations.google import run
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import AGAIN, ConflictError
from mltool.integrations.google.run_messages import Service, Share
from mltool.stages.deploy.gcp.journal import Journal
from mltool.stages.deploy.gcp.wanted import MANAGED

TRIAL = "trial"
"""Tag of a revision that is being asked: it gives it a URL of its own."""
_CHANGE_S = 900.0


def settled(cloud: Cloud, name: str, journal: Journal | None = None) -> Service | None:
    """The service, once nothing changes any more that an earlier run has begun."""
    operation = journal.known.get("operation") if journal else None
    if operation:
        await_operation(cloud, name, operation)
    started = time.monotonic()
    while (service := run.find_service(cloud, name)) is not None and service.is_changing:
        if time.monotonic() - started > _CHANGE_S:
            raise RemoteError(f"the service `{name}` still changes after {_CHANGE_S:.0f} s", hint=AGAIN)
        time.sleep(cloud.poll_s)
    return service


def await_operation(cloud: Cloud, name: str, operation: str) -> str:
    """Wait until a change has ended, and return why it failed; empty if it did not."""
    started = time.monotonic()
    with events.track(f"change the service {name}", None, "s") as tracker:
        while (problem := run.ended(cloud, operation)) is None:
            if time.monotonic() - started > _CHANGE_S:
                raise RemoteError(f"the service `{name}` still changes after {_CHANGE_S:.0f} s", hint=AGAIN)
            time.sleep(cloud.poll_s)
            tracker.advance(round(time.monotonic() - started) - tracker.done)
    return problem


def expect_managed(service: Service | None, cloud: Cloud) -> None:
    """Raises: ConfigError: There is a service of this name that mltool has not made."""
    if service is not None and any(service.labels.get(key) != value for key, value in MANAGED.items()):
        raise ConfigError(
            f"the service `{service.name}` of `{cloud.project}` was not made by mltool, which so leaves it alone",
            hint="choose another name with `service=`",
        )


def unchanged(cloud: Cloud, service: Service) -> Service:
    """The service as it is now, if nobody has asked anything of it since.

    Raises:
        ConflictError: Somebody has.
    """
    now = run.find_service(cloud, service.name)
    if now is None or now.generation != service.generation:
        raise ConflictError(f"somebody else changed the service `{service.name}` at the same time", hint=AGAIN)
    return now


def moved(cloud: Cloud, service: Service, shares: Sequence[Share], journal: Journal | None = None) -> Service:
    """Give traffic to those in `shares`, and none to others.

    Raises:
        ConflictError: Somebody else has changed the service since `service` was looked at.
    """
    operation = run.change_service(cloud, service, shares=[*shares, *tags_of_others(service)])
    if journal:
        journal.note(operation=operation)
    problem = await_operation(cloud, service.name, operation)
    after = settled(cloud, service.name)
    if after is not None and traffic_of(after) == {share.revision: share.percent for share in shares}:
        return after
    if problem:
        raise RemoteError(f"the traffic of `{service.name}` was not moved: {problem}", hint=AGAIN)
    raise ConflictError(f"somebody else changed the service `{service.name}` at the same time", hint=AGAIN)


def serving_shares(service: Service) -> list[Share]:
    """Who gets traffic now, by name: a share of `the latest` would follow every new revision."""
    merged: dict[str, int] = {}
    for share in service.shares:
        merged[share.revision] = merged.get(share.revision, 0) + share.percent
    return [Share(revision=name, percent=percent) for name, percent in merged.items() if percent]


def traffic_of(service: Service) -> dict[str, int]:
    return {share.revision: share.percent for share in serving_shares(service)}


def tags_of_others(service: Service) -> list[Share]:
    """The tags of others, which stay."""
    return [Share(revision=s.revision, percent=0, tag=s.tag) for s in service.shares if s.tag and s.tag != TRIAL]
