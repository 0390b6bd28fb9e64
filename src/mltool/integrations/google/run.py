"""Cloud Run: services, their revisions, who gets the traffic, and who may ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mltool.core.version import version
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import RUN, explained
from mltool.integrations.google.run_messages import (
    Revision,
    Service,
    Share,
    Template,
    read_revision,
    read_service,
    reason_of,
    to_scaling,
    to_target,
    to_template,
)

INVOKER = "roles/run.invoker"
EVERYONE = "allUsers"


def find_service(cloud: Cloud, name: str) -> Service | None:
    from google.api_core.exceptions import NotFound
    from google.cloud import run_v2

    with explained(cloud, RUN, f"look at the service `{name}`"):
        try:
            found = cloud.client(run_v2.ServicesClient).get_service(name=_path(cloud, name), **cloud.reading)
        except NotFound:
            return None
    return read_service(found)


def make_service(
    cloud: Cloud,
    name: str,
    template: Template,
    *,
    revision: str,
    shares: Sequence[Share],
    instances: tuple[int, int],
    labels: Mapping[str, str],
) -> str:
    """Begin to make a service with its first revision, and return the name of the operation.

    Args:
        instances: How many there are at least, and at most.
    """
    from google.cloud import run_v2

    service = run_v2.Service(
        template=to_template(template, revision),
        traffic=[to_target(share) for share in shares],
        scaling=to_scaling(instances),
        labels=dict(labels),
        ingress=run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL,
        client="mltool",
        client_version=version(),
    )
    with explained(cloud, RUN, f"make the service `{name}`"):
        started = cloud.client(run_v2.ServicesClient).create_service(
            parent=cloud.parent, service_id=name, service=service, **cloud.writing
        )
    return str(started.operation.name)


def change_service(
    cloud: Cloud,
    before: Service,
    *,
    shares: Sequence[Share],
    template: Template | None = None,
    revision: str = "",
    instances: tuple[int, int] | None = None,
) -> str:
    """Begin to change what is given and nothing else, and return the name of the operation.

    Labels and the like are left alone: Cloud Run takes them over into the revision, which then is another one under a
    name that is taken.

    Args:
        before: What was looked at; the change is refused if somebody else has changed it since.
        template: Makes a new revision; None only moves the traffic.

    Raises:
        ConflictError: It has been changed since.
    """
    from google.cloud import run_v2
    from google.protobuf import field_mask_pb2

    changed = run_v2.Service(name=_path(cloud, before.name), etag=before.etag)
    changed.traffic = [to_target(share) for share in shares]
    paths = ["traffic"]
    if template is not None:
        changed.template = to_template(template, revision)
        changed.client, changed.client_version = "mltool", version()
        paths += ["template", "client", "client_version"]
    if instances is not None:
        changed.scaling = to_scaling(instances)
        paths.append("scaling")
    request = run_v2.UpdateServiceRequest(service=changed, update_mask=field_mask_pb2.FieldMask(paths=paths))
    with explained(cloud, RUN, f"change the service `{before.name}`"):
        started = cloud.client(run_v2.ServicesClient).update_service(request=request, **cloud.writing)
    return str(started.operation.name)


def delete_service(cloud: Cloud, name: str) -> str | None:
    """Begin to delete a service, and return the name of the operation; None if there is none."""
    from google.api_core.exceptions import NotFound
    from google.cloud import run_v2

    with explained(cloud, RUN, f"delete the service `{name}`"):
        try:
            started = cloud.client(run_v2.ServicesClient).delete_service(name=_path(cloud, name), **cloud.writing)
        except NotFound:
            return None
    return str(started.operation.name)


def ended(cloud: Cloud, operation: str) -> str | None:
    """How a change has ended: empty if well, else why not; None while it goes on."""
    from google.api_core.exceptions import NotFound
    from google.cloud import run_v2

    with explained(cloud, RUN, "see whether a change is done"):
        client = cloud.client(run_v2.ServicesClient)
        try:
            found = client.get_operation({"name": operation}, **cloud.reading)
        except NotFound:  # it was forgotten, long after it had ended
            return ""
    if not found.done:
        return None
    return reason_of(found.error.message) if found.HasField("error") else ""


def revisions_of(cloud: Cloud, name: str) -> tuple[Revision, ...]:
    """All revisions of a service, the newest first."""
    from google.cloud import run_v2

    with explained(cloud, RUN, f"list the revisions of `{name}`"):
        client = cloud.client(run_v2.RevisionsClient)
        return tuple(map(read_revision, client.list_revisions(parent=_path(cloud, name), **cloud.reading)))


def is_public(cloud: Cloud, name: str) -> bool:
    """Whether everybody may ask a service, without a token."""
    return any(EVERYONE in binding.members for binding in _policy(cloud, name).bindings if binding.role == INVOKER)


def set_public(cloud: Cloud, name: str, *, public: bool) -> None:
    """Let everybody ask a service, or nobody without a token; other bindings stay."""
    from google.cloud import run_v2
    from google.iam.v1 import iam_policy_pb2, policy_pb2

    policy = _policy(cloud, name)  # with its etag, so that nobody else's change is lost
    for binding in policy.bindings:
        if binding.role == INVOKER and EVERYONE in binding.members:
            binding.members.remove(EVERYONE)
    if public:
        policy.bindings.append(policy_pb2.Binding(role=INVOKER, members=[EVERYONE]))
    request = iam_policy_pb2.SetIamPolicyRequest(resource=_path(cloud, name), policy=policy)
    with explained(cloud, RUN, f"{'let everybody' if public else 'let nobody without a token'} ask `{name}`"):
        cloud.client(run_v2.ServicesClient).set_iam_policy(request=request, **cloud.writing)


def _policy(cloud: Cloud, name: str) -> Any:
    from google.cloud import run_v2
    from google.iam.v1 import iam_policy_pb2, options_pb2

    # Without the version, bindings with a condition come without it, and would be written back so.
    options = options_pb2.GetPolicyOptions(requested_policy_version=3)
    request = iam_policy_pb2.GetIamPolicyRequest(resource=_path(cloud, name), options=options)
    with explained(cloud, RUN, f"see who may ask `{name}`"):
        return cloud.client(run_v2.ServicesClient).get_iam_policy(request=request, **cloud.reading)


def _path(cloud: Cloud, name: str) -> str:
    return f"{cloud.parent}/services/{name}"
