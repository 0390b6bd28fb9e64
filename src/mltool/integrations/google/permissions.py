"""What may be made in a project, asked before anything is begun."""

from __future__ import annotations

from collections.abc import Mapping

from mltool.integrations.google.clients import ANSWER_S, Cloud
from mltool.integrations.google.errors import BUILD, REGISTRY, RUN, STORAGE, Api

TO_MAKE: Mapping[Api, str] = {
    RUN: "run.services.create",
    BUILD: "cloudbuild.builds.create",
    REGISTRY: "artifactregistry.repositories.create",
    STORAGE: "storage.buckets.create",
}
"""What can only be granted for a whole project; what it takes to change what is there may be granted on that alone."""


def missing_permissions(cloud: Cloud) -> list[Api]:
    """The APIs in which the caller may make nothing.

    None if that cannot be told: Resource Manager is an API of its own, which a deployment does not take. What is
    missing then is met, and said, at the call that needs it.
    """
    if cloud.resource_manager is None:
        return []
    import requests
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    url = f"{cloud.resource_manager}/v1/projects/{cloud.project}:testIamPermissions"
    try:
        opened: requests.Session = AuthorizedSession(cloud.credentials)  # type: ignore[no-untyped-call]
        with opened as session:
            answer = session.post(url, json={"permissions": list(TO_MAKE.values())}, timeout=ANSWER_S)
        granted = answer.json().get("permissions", []) if answer.ok else list(TO_MAKE.values())
    except (requests.RequestException, GoogleAuthError, ValueError, AttributeError):
        return []
    return [api for api, permission in TO_MAKE.items() if permission not in granted]
