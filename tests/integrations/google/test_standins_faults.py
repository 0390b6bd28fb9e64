"""What goes wrong on purpose, as Google's clients tell it."""

from __future__ import annotations

import time

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2
from google.longrunning import operations_pb2

from mltool.core.errors import MltoolError
from mltool.integrations.google.standins.cloud import StandIns
from mltool.integrations.google.standins.faults import Faults
from mltool.integrations.google.standins.methods import METHODS
from standins_testing import ADDRESS, BUCKET, PARENT, Clients, template

SERVICE = f"{PARENT}/services/none"
CALLS = {
    "Services.CreateService": lambda c: c.create("none", template("image")),
    "Services.GetService": lambda c: c.services.get_service(name=SERVICE, retry=None),
    "Services.ListServices": lambda c: c.services.list_services(parent=PARENT, retry=None),
    "Services.UpdateService": lambda c: c.update(run_v2.Service(name=SERVICE)),
    "Services.DeleteService": lambda c: c.services.delete_service(name=SERVICE),
    "Services.GetIamPolicy": lambda c: c.publish(SERVICE),
    "Services.SetIamPolicy": lambda c: c.services.set_iam_policy(
        request=iam_policy_pb2.SetIamPolicyRequest(resource=SERVICE)
    ),
    "Services.TestIamPermissions": lambda c: c.services.test_iam_permissions(
        request=iam_policy_pb2.TestIamPermissionsRequest(resource=SERVICE, permissions=["run.services.get"])
    ),
    "Revisions.GetRevision": lambda c: c.revisions.get_revision(name=f"{SERVICE}/revisions/a", retry=None),
    "Revisions.ListRevisions": lambda c: c.revisions.list_revisions(parent=SERVICE, retry=None),
    "Revisions.DeleteRevision": lambda c: c.revisions.delete_revision(name=f"{SERVICE}/revisions/a"),
    "CloudBuild.CreateBuild": lambda c: c.begin_build(f"{ADDRESS}/a:1"),
    "CloudBuild.GetBuild": lambda c: c.builds.get_build(
        request={"name": f"{PARENT}/builds/a", "project_id": "p1", "id": "a"}, retry=None
    ),
    "CloudBuild.ListBuilds": lambda c: c.builds.list_builds(request={"parent": PARENT, "project_id": "p1"}, retry=None),
    "CloudBuild.CancelBuild": lambda c: c.builds.cancel_build(
        request={"name": f"{PARENT}/builds/a", "project_id": "p1", "id": "a"}
    ),
    "ArtifactRegistry.CreateRepository": lambda c: c.make_repository("other"),
    "ArtifactRegistry.GetRepository": lambda c: c.registry.get_repository(name=f"{PARENT}/repositories/a", retry=None),
    "ArtifactRegistry.ListRepositories": lambda c: c.registry.list_repositories(parent=PARENT, retry=None),
    "ArtifactRegistry.DeleteRepository": lambda c: c.registry.delete_repository(name=f"{PARENT}/repositories/a"),
    "ArtifactRegistry.GetTag": lambda c: c.registry.get_tag(
        name=f"{PARENT}/repositories/a/packages/b/tags/c", retry=None
    ),
    "Operations.GetOperation": lambda c: c.services.get_operation({"name": f"{PARENT}/operations/a"}, retry=None),
    "Operations.WaitOperation": lambda c: c.services.wait_operation(
        operations_pb2.WaitOperationRequest(name=f"{PARENT}/operations/a")
    ),
    "Buckets.Get": lambda c: c.storage.get_bucket(BUCKET, retry=None),
    "Buckets.Insert": lambda c: c.storage.create_bucket("new-bucket", retry=None),
    "Objects.Insert": lambda c: c.storage.bucket(BUCKET).blob("a").upload_from_string("a", retry=None),
    "Objects.Get": lambda c: c.storage.bucket(BUCKET).blob("a").download_as_bytes(retry=None),
    "Objects.List": lambda c: list(c.storage.list_blobs(BUCKET, retry=None)),
    "Objects.Delete": lambda c: c.storage.bucket(BUCKET).blob("a").delete(retry=None),
}


def test_every_call_is_tried_out() -> None:
    assert set(METHODS) <= set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_permission_that_is_missing_is_named(clients: Clients, name: str) -> None:
    clients.stand_ins.faults = Faults(denied=frozenset({name}))
    with pytest.raises(exceptions.Forbidden) as caught:
        CALLS[name](clients)
    assert "denied on resource" in str(caught.value)


@pytest.mark.parametrize("name", ["Services.CreateService", "CloudBuild.CreateBuild", "Objects.Insert"])
def test_a_quota_that_is_used_up_is_named(clients: Clients, name: str) -> None:
    clients.stand_ins.faults = Faults(exhausted=frozenset({name}))
    with pytest.raises(exceptions.TooManyRequests, match=f"Quota exceeded for quota metric '{name}'"):
        CALLS[name](clients)


@pytest.mark.parametrize(
    ("api", "name"),
    [
        ("run.googleapis.com", "Services.GetService"),
        ("cloudbuild.googleapis.com", "CloudBuild.ListBuilds"),
        ("artifactregistry.googleapis.com", "ArtifactRegistry.GetRepository"),
    ],
)
def test_an_api_that_is_not_enabled_says_so_to_programs_as_well(clients: Clients, api: str, name: str) -> None:
    clients.stand_ins.faults = Faults(disabled_apis=frozenset({api}))
    with pytest.raises(exceptions.PermissionDenied, match=f"{api} has not been used in project p1") as caught:
        CALLS[name](clients)
    assert caught.value.reason == "SERVICE_DISABLED"
    assert caught.value.metadata["service"] == api


def test_storage_that_is_not_enabled_says_so(clients: Clients) -> None:
    clients.stand_ins.faults = Faults(disabled_apis=frozenset({"storage.googleapis.com"}))
    with pytest.raises(exceptions.Forbidden, match=r"storage\.googleapis\.com has not been used") as caught:
        CALLS["Buckets.Get"](clients)
    assert caught.value.errors[0]["reason"] == "accessNotConfigured"


def test_an_account_that_one_may_not_act_as_is_named(clients: Clients, image: str) -> None:
    account = "123-compute@developer.gserviceaccount.com"
    clients.stand_ins.faults = Faults(no_act_as=account)
    said = rf"Permission 'iam\.serviceaccounts\.actAs' denied on service account {account}"
    with pytest.raises(exceptions.PermissionDenied, match=said):
        clients.create("acting", template(image))
    with pytest.raises(exceptions.NotFound):
        clients.services.get_service(name=f"{PARENT}/services/acting")


def test_an_organisation_may_forbid_that_everybody_asks(clients: Clients, image: str) -> None:
    service = clients.create("not-public", template(image))
    clients.stand_ins.faults = Faults(no_public=True)
    with pytest.raises(exceptions.FailedPrecondition, match="do not belong to a permitted customer"):
        clients.publish(service.name)


def test_a_call_that_is_cut_off_was_not_done_and_nor_is_any_later_one(clients: Clients) -> None:
    clients.stand_ins.faults = Faults(cut_at="ArtifactRegistry.CreateRepository")
    with pytest.raises(exceptions.ServiceUnavailable):
        clients.make_repository("cut")
    with pytest.raises(exceptions.ServiceUnavailable):
        clients.registry.list_repositories(parent=PARENT, retry=None)
    clients.stand_ins.faults = Faults()
    assert "cut" not in {one.name.rpartition("/")[2] for one in clients.registry.list_repositories(parent=PARENT)}


def test_a_call_whose_answer_is_lost_was_done(clients: Clients) -> None:
    clients.stand_ins.faults = Faults(cut_at="ArtifactRegistry.CreateRepository", cut="after")
    with pytest.raises(exceptions.ServiceUnavailable):
        clients.make_repository("lost")
    clients.stand_ins.faults = Faults()
    assert "lost" in {one.name.rpartition("/")[2] for one in clients.registry.list_repositories(parent=PARENT)}


def test_an_upload_that_is_cut_off_is_not_there_and_one_whose_answer_is_lost_is(clients: Clients) -> None:
    bucket = clients.storage.create_bucket("cut-off")
    for cut, is_there in (("before", False), ("after", True)):
        clients.stand_ins.faults = Faults(cut_at="Objects.Insert", cut=cut)  # type: ignore[arg-type]
        with pytest.raises(OSError, match="closed connection without response"):
            bucket.blob(cut).upload_from_string("a", retry=None, timeout=5)
        clients.stand_ins.faults = Faults()
        assert bucket.blob(cut).exists() is is_there


def test_the_network_ends_after_so_many_calls(clients: Clients) -> None:
    clients.stand_ins.faults = Faults(cut_after_calls=2)
    for _ in range(2):
        clients.registry.list_repositories(parent=PARENT, retry=None)
    with pytest.raises(exceptions.ServiceUnavailable):
        clients.registry.list_repositories(parent=PARENT, retry=None)


def test_a_build_that_fails_says_what_with(clients: Clients, image: str) -> None:
    said = "123-compute@developer.gserviceaccount.com does not have storage.objects.get access"
    clients.stand_ins.faults = Faults(build_failure=said)
    operation = clients.begin_build(f"{ADDRESS}/failing:1")
    with pytest.raises(exceptions.GoogleAPICallError, match="Build failed; check build logs for details"):
        operation.result(timeout=90)
    build = clients.builds.get_build(request={"name": operation.metadata.build.name})
    assert build.status.name == "FAILURE"
    assert build.failure_info.detail == said


def test_an_image_that_does_not_start(clients: Clients, image: str) -> None:
    clients.stand_ins.faults = Faults(image_does_not_start=True)
    with pytest.raises(exceptions.FailedPrecondition, match="failed to start and listen on the port"):
        clients.create("not-starting", template(image))


def test_operations_take_as_long_as_they_are_told_to(clients: Clients) -> None:
    clients.stand_ins.faults = Faults(operation_delay_s=1.5)
    started = time.monotonic()
    operation = clients.registry.create_repository(
        parent=PARENT, repository_id="slow", repository={"format_": "DOCKER"}
    )
    assert not operation.done()
    operation.result(timeout=90)
    assert time.monotonic() - started >= 1.5


def test_a_fault_of_a_call_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no stand-in has the method Services\.MakeService"):
        Faults(denied=frozenset({"Services.MakeService"}))


def test_a_project_that_does_not_exist_is_refused() -> None:
    with StandIns(project="mine") as stand_ins:
        clients = Clients(stand_ins)
        with pytest.raises(exceptions.PermissionDenied, match="Permission denied on resource project p1") as caught:
            clients.services.get_service(name=SERVICE, retry=None)
        assert caught.value.reason == "CONSUMER_INVALID"
        clients.close()


def test_a_port_is_not_shared_with_others_that_stand_in() -> None:
    with StandIns() as first, pytest.raises(MltoolError, match=r"cannot listen on 127\.0\.0\.1:"):
        StandIns(port=int(first.grpc_endpoint.rpartition(":")[2]))
