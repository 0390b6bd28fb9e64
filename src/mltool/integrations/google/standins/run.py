"""Cloud Run: services, their revisions, and which of them answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from google.cloud import run_v2
from google.longrunning import operations_pb2

from mltool.integrations.google.standins.checking import parts_of
from mltool.integrations.google.standins.iam import Policies
from mltool.integrations.google.standins.masks import apply_mask, copy_fields
from mltool.integrations.google.standins.operations import Operations
from mltool.integrations.google.standins.refusals import Code, RefusalError, exists, invalid, not_found
from mltool.integrations.google.standins.rollout import Rollouts, last_part, parent_of
from mltool.integrations.google.standins.run_rules import SERVICE_ID, check_service, check_traffic
from mltool.integrations.google.standins.times import now

WRITABLE = (
    "annotations", "binary_authorization", "build_config", "client", "client_version", "custom_audiences",
    "default_uri_disabled", "description", "ingress", "invoker_iam_disabled", "labels", "launch_stage", "scaling",
    "template", "traffic",
)  # fmt: skip
"""The fields of a service that are a client's to say; the others are ours."""


class CloudRun:
    """The calls of Cloud Run: each is checked here, and brought about by `Rollouts`."""

    def __init__(self, operations: Operations, policies: Policies, rollouts: Rollouts) -> None:
        self._operations, self._policies, self._rollouts = operations, policies, rollouts
        self._services, self._revisions, self._lock = rollouts.services, rollouts.revisions, rollouts.lock

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "Services.CreateService": self.create,
            "Services.GetService": self.get,
            "Services.ListServices": self.list_,
            "Services.UpdateService": self.update,
            "Services.DeleteService": self.delete,
            "Services.GetIamPolicy": self._iam(self._policies.get),
            "Services.SetIamPolicy": self._iam(self._policies.set),
            "Services.TestIamPermissions": self._iam(self._policies.test),
            "Revisions.GetRevision": self.get_revision,
            "Revisions.ListRevisions": self.list_revisions,
            "Revisions.DeleteRevision": self.delete_revision,
        }

    # Services ---------------------------------------------------------------------------------------------------------

    def create(self, request: Any) -> operations_pb2.Operation:
        request = run_v2.CreateServiceRequest.wrap(request)
        if request.service.name:
            raise invalid("service.name: must be empty when a service is created; service_id gives its name")
        return self._create(request.parent, request.service_id, request.service, validate_only=request.validate_only)

    def _create(
        self, parent: str, service_id: str, given: run_v2.Service, *, validate_only: bool
    ) -> operations_pb2.Operation:
        if not SERVICE_ID.fullmatch(service_id):
            raise invalid(
                f"service_id: `{service_id}` must be lower-case letters, digits and hyphens, start with a letter, and "
                "have less than 50 of them"
            )
        name = f"{parent}/services/{service_id}"
        with self._lock:
            if name in self._services:
                raise exists(f"Resource '{service_id}' already exists.")
            service = run_v2.Service(name=name, uid=str(uuid.uuid4()), create_time=now())
            copy_fields(given, service, WRITABLE)
            revision = self._checked(service, before=None) or ""
            if validate_only:
                return self._validated(parent, service)
            return self._rollouts.add(service, revision)

    def get(self, request: Any) -> Any:
        with self._lock:
            return run_v2.Service.pb(run_v2.Service(self._known(request.name)))

    def list_(self, request: Any) -> Any:
        with self._lock:
            found = [
                run_v2.Service(one) for name, one in self._services.items() if name.startswith(f"{request.parent}/")
            ]
        return run_v2.ListServicesResponse.pb(run_v2.ListServicesResponse(services=found))

    def update(self, request: Any) -> operations_pb2.Operation:
        request = run_v2.UpdateServiceRequest.wrap(request)
        given, name = request.service, request.service.name
        with self._lock:
            if name not in self._services and request.allow_missing:
                parent, _, service_id = name.rpartition("/services/")
                return self._create(parent, service_id, given, validate_only=request.validate_only)
            before = self._known(name)
            if given.etag and given.etag != before.etag:
                raise RefusalError(
                    Code.ABORTED,
                    f"Conflict for resource '{last_part(name)}': version '{given.etag}' was specified but current "
                    f"version is '{before.etag}'.",
                )
            service = run_v2.Service(before)
            if request.update_mask.paths:
                apply_mask(given, service, request.update_mask.paths, WRITABLE)
            else:
                copy_fields(given, service, WRITABLE)
            revision = self._checked(service, before)
            if request.validate_only:
                return self._validated(parent_of(name), service)
            copy_fields(service, before, WRITABLE)  # the same object: what is still rolling out goes on with it
            return self._rollouts.advance(before, revision)

    def delete(self, request: Any) -> operations_pb2.Operation:
        with self._lock:
            service = self._known(request.name)
            if request.etag and request.etag != service.etag:
                raise RefusalError(Code.ABORTED, f"Conflict for resource '{last_part(request.name)}': etag.")
            if request.validate_only:
                return self._validated(parent_of(request.name), service)
            self._policies.forget(request.name)
            return self._rollouts.remove(service)

    def _iam(self, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A call to the policies, of a service that is there."""

        def call(request: Any) -> Any:
            self._known(request.resource)
            return handler(request)

        return call

    # Revisions --------------------------------------------------------------------------------------------------------

    def get_revision(self, request: Any) -> Any:
        with self._lock:
            return run_v2.Revision.pb(run_v2.Revision(self._known_revision(request.name)))

    def list_revisions(self, request: Any) -> Any:
        with self._lock:
            found = [
                run_v2.Revision(one) for name, one in self._revisions.items() if name.startswith(f"{request.parent}/")
            ]
        newest_first = found[::-1]
        return run_v2.ListRevisionsResponse.pb(run_v2.ListRevisionsResponse(revisions=newest_first))

    def delete_revision(self, request: Any) -> operations_pb2.Operation:
        with self._lock:
            revision = self._known_revision(request.name)
            service = self._services[request.name.rpartition("/revisions/")[0]]
            serving = {status.revision for status in service.traffic_statuses}
            if last_part(request.name) in serving or service.latest_ready_revision == request.name:
                raise RefusalError(
                    Code.FAILED_PRECONDITION,
                    f"Revision '{last_part(request.name)}' cannot be deleted: it is actively serving, or the latest.",
                )
            del self._revisions[request.name]
        deleted = run_v2.Revision.pb(run_v2.Revision(revision, delete_time=now()))
        return self._operations.start(parent_of(request.name), lambda: deleted, lambda: deleted)

    # How a service gets to where it is wanted -------------------------------------------------------------------------

    def _checked(self, service: run_v2.Service, before: run_v2.Service | None) -> str | None:
        """The name of the revision that is to be made; None if the template is as it was.

        Raises:
            RefusalError: The service breaks a rule.
        """
        service_id = last_part(service.name)
        check_service(service, service_id)
        known = {last_part(name) for name in self._revisions if name.startswith(f"{service.name}/")}
        name = None
        if before is None or _is_other(before.template, service.template):
            number = (before.generation if before else 0) + 1
            name = service.template.revision or f"{service_id}-{number:05d}-{uuid.uuid4().hex[:3]}"
            if name in known:
                raise exists(f"Revision named '{name}' with different configuration already exists.")
        check_traffic(service, known | ({name} if name else set()))
        return name

    def _validated(self, parent: str, service: run_v2.Service) -> operations_pb2.Operation:
        found = run_v2.Service.pb(service)
        return self._operations.start(parent, lambda: found, lambda: found)

    def _known(self, name: str) -> run_v2.Service:
        if name not in self._services:
            project, location = parts_of(name)
            raise not_found(
                f"Resource '{last_part(name)}' of kind 'SERVICE' in region '{location}' in project '{project}' does "
                "not exist."
            )
        return self._services[name]

    def _known_revision(self, name: str) -> run_v2.Revision:
        if name not in self._revisions:
            raise not_found(f"Revision '{last_part(name)}' does not exist.")
        return self._revisions[name]


def _is_other(before: run_v2.RevisionTemplate, after: run_v2.RevisionTemplate) -> bool:
    return bool(run_v2.RevisionTemplate.pb(before) != run_v2.RevisionTemplate.pb(after))
