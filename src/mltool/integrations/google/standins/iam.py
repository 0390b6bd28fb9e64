"""Who may call a service: a policy that is read, changed and written back."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from google.iam.v1 import iam_policy_pb2, policy_pb2

from mltool.integrations.google.standins.faults import Calls
from mltool.integrations.google.standins.refusals import Code, RefusalError, invalid

INVOKER = "roles/run.invoker"
EVERYBODY = "allUsers"
_ROLE = re.compile(r"(roles|projects/[^/]+/roles|organizations/\d+/roles)/[A-Za-z0-9_.]+")
_MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers|(user|serviceAccount|group):[^@\s]+@[^@\s]+|domain:\S+|principal(Set)?://\S+"
    r"|(projectOwner|projectEditor|projectViewer):\S+"
)


class Policies:
    """The policies of resources, each with an etag that tells whether it was changed meanwhile."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.policies: dict[str, policy_pb2.Policy] = {}

    def get(self, request: Any) -> policy_pb2.Policy:
        return self.policies.get(request.resource) or policy_pb2.Policy(version=1, etag=b"ACAB")

    def set(self, request: Any) -> policy_pb2.Policy:
        before = self.get(request)
        if request.policy.etag and request.policy.etag != before.etag:
            raise RefusalError(
                Code.ABORTED,
                "There were concurrent policy changes. Please retry the whole read-modify-write with exponential "
                "backoff.",
            )
        for binding in request.policy.bindings:
            if not _ROLE.fullmatch(binding.role):
                raise invalid(f"Role ({binding.role}) does not exist in the resource's hierarchy.")
            for member in binding.members:
                if not _MEMBER.fullmatch(member):
                    raise invalid(f"The member {member} is of an unknown type.")
                if member == EVERYBODY and self._calls.faults.no_public:
                    raise RefusalError(
                        Code.FAILED_PRECONDITION,
                        "One or more users named in the policy do not belong to a permitted customer, perhaps due to "
                        "an organization policy.",
                    )
        policy = policy_pb2.Policy(version=1)
        policy.bindings.extend(binding for binding in request.policy.bindings if binding.members)
        policy.etag = hashlib.sha256(before.etag + policy.SerializeToString(deterministic=True)).digest()[:8]
        self.policies[request.resource] = policy
        return policy

    def test(self, request: Any) -> iam_policy_pb2.TestIamPermissionsResponse:
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=list(request.permissions))

    def forget(self, resource: str) -> None:
        self.policies.pop(resource, None)

    def is_open(self, resource: str) -> bool:
        """Whether everybody may call a service."""
        policy = self.policies.get(resource)
        bindings = policy.bindings if policy else []
        return any(binding.role == INVOKER and EVERYBODY in binding.members for binding in bindings)
