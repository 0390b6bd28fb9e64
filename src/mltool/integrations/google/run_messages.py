"""Cloud Run's messages: ours from Google's, and Google's from ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_AROUND_REASONS = (
    r"^Revision '\S+' is not ready and cannot serve traffic\.",
    r"This can happen when the container port is misconfigured or if the timeout is too short\.",
    r"Logs for this revision might contain more information\..*$",
)
_PROBE_PERIOD_S, _PROBE_TIMEOUT_S, _PROBE_TRIES = 5, 4, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What an instance of a revision is made of, and may take.

    Attributes:
        image: With its digest, so that it stays what was tested.
        concurrency: Requests that one instance is sent at the same time.
        health_path: Where it tells that it is up; it has two minutes for that.
    """

    image: str
    cpu: str
    memory: str
    concurrency: int
    timeout_s: int
    port: int
    health_path: str
    service_account: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the traffic a revision gets; with a tag, it has a URL of its own."""

    revision: str
    percent: int
    tag: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as it is now.

    Attributes:
        generation: Counts what was asked of it, so that a change of somebody else is seen.
        etag: So that an update of what somebody else has changed just now is refused.
        latest: The revision that was made last; `ready`: the last that started.
        is_changing: Whether Cloud Run still works on the last change.
        problem: Why the last change has failed; empty if it has not.
    """

    name: str
    url: str
    generation: int
    etag: str
    latest: str
    ready: str
    is_changing: bool
    problem: str
    shares: tuple[Share, ...]
    labels: Mapping[str, str]
    min_instances: int
    max_instances: int
    template: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    name: str
    image: str
    is_ready: bool
    problem: str
    log_url: str


def to_target(share: Share) -> Any:
    from google.cloud import run_v2

    kind = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
    return run_v2.TrafficTarget(type_=kind, revision=share.revision, percent=share.percent, tag=share.tag)


def to_scaling(instances: tuple[int, int]) -> Any:
    from google.cloud import run_v2

    least, most = instances
    # Of the service, not of a revision: it counts at once, and over all revisions together.
    return run_v2.ServiceScaling(min_instance_count=least, max_instance_count=most)


def to_template(template: Template, revision: str) -> Any:
    from google.cloud import run_v2

    get = run_v2.HTTPGetAction(path=template.health_path, port=template.port)
    probe = run_v2.Probe(
        http_get=get,
        period_seconds=_PROBE_PERIOD_S,
        timeout_seconds=_PROBE_TIMEOUT_S,
        failure_threshold=_PROBE_TRIES,
    )
    # `cpu_idle` is written out: where only limits are given, Cloud Run bills the CPU around the clock.
    resources = run_v2.ResourceRequirements(
        limits={"cpu": template.cpu, "memory": template.memory}, cpu_idle=True, startup_cpu_boost=True
    )
    container = run_v2.Container(
        image=template.image,
        ports=[run_v2.ContainerPort(container_port=template.port)],
        env=[run_v2.EnvVar(name=name, value=value) for name, value in sorted(template.environment.items())],
        resources=resources,
        startup_probe=probe,
    )
    return run_v2.RevisionTemplate(
        revision=revision,
        containers=[container],
        max_instance_request_concurrency=template.concurrency,
        timeout={"seconds": template.timeout_s},
        service_account=template.service_account,
        labels=dict(template.labels),
        execution_environment=run_v2.ExecutionEnvironment.EXECUTION_ENVIRONMENT_GEN2,
    )


def read_service(found: Any) -> Service:
    from google.cloud import run_v2

    condition = found.terminal_condition
    has_failed = condition.state == run_v2.Condition.State.CONDITION_FAILED
    return Service(
        name=_last(found.name),
        url=found.uri,
        generation=int(found.generation),
        etag=found.etag,
        latest=_last(found.latest_created_revision),
        ready=_last(found.latest_ready_revision),
        is_changing=bool(found.reconciling),
        problem=reason_of(condition.message) if has_failed else "",
        shares=tuple(
            Share(revision=_last(one.revision), percent=one.percent, tag=one.tag, url=one.uri)
            for one in found.traffic_statuses
        ),
        labels=dict(found.labels),
        min_instances=found.scaling.min_instance_count,
        max_instances=found.scaling.max_instance_count,
        template=read_template(found.template) if found.template.containers else None,
    )


def read_template(found: Any) -> Template:
    container = found.containers[0]
    limits = dict(container.resources.limits)
    return Template(
        image=container.image,
        cpu=limits.get("cpu", ""),
        memory=limits.get("memory", ""),
        concurrency=found.max_instance_request_concurrency,
        timeout_s=int(found.timeout.total_seconds()) if found.timeout else 0,
        port=container.ports[0].container_port if container.ports else 0,
        health_path=container.startup_probe.http_get.path,
        service_account=found.service_account,
        environment={one.name: one.value for one in container.env},
        labels=dict(found.labels),
    )


def reason_of(message: str) -> str:
    """What Cloud Run says, without what it says around every reason."""
    text = " ".join(message.split())
    for around in _AROUND_REASONS:
        text = re.sub(around, "", text)
    return " ".join(text.split()).rstrip(".") or "Cloud Run does not say why"


def read_revision(found: Any) -> Revision:
    from google.cloud import run_v2

    ready = next((one for one in found.conditions if one.type_ == "Ready"), None)
    has_failed = ready is not None and ready.state == run_v2.Condition.State.CONDITION_FAILED
    return Revision(
        name=_last(found.name),
        image=found.containers[0].image if found.containers else "",
        is_ready=ready is not None and ready.state == run_v2.Condition.State.CONDITION_SUCCEEDED,
        problem=reason_of(ready.message) if has_failed and ready is not None else "",
        log_url=found.log_uri,
    )


def _last(path: str) -> str:
    return path.rpartition("/")[2]
