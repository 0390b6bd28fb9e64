"""What Cloud Run does with a service, in its good and its bad days."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2

from mltool.core.processes import identity
from standins_testing import ADDRESS, FILES, LATEST, PARENT, PATIENCE_S, SERVER, Clients, ask, template, to, until

State = run_v2.Condition.State


@pytest.fixture
def name() -> str:
    """Of a service that no other test has."""
    return f"s-{uuid.uuid4().hex[:8]}"


def path(name: str) -> str:
    return f"{PARENT}/services/{name}"


def shares(service: run_v2.Service) -> dict[str, int]:
    return {one.revision: one.percent for one in service.traffic_statuses}


def test_a_service_that_is_there_cannot_be_created(clients: Clients, image: str, name: str) -> None:
    clients.create(name, template(image))
    with pytest.raises(exceptions.AlreadyExists, match=f"Resource '{name}' already exists"):
        clients.create(name, template(image))


def test_a_service_is_named_by_its_id_alone(clients: Clients, image: str, name: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=r"service\.name: must be empty when a service is created"):
        clients.create(name, template(image), name=path(name))


@pytest.mark.parametrize("service_id", ["", "1a", "A", "a_b", "a-", "-a", "a" * 50, "a.b"])
def test_an_id_that_cannot_be_one_is_refused(clients: Clients, image: str, service_id: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="service_id"):
        clients.create(service_id, template(image))


def test_a_call_without_its_routing_header_is_refused(clients: Clients, image: str, name: str) -> None:
    clients.create(name, template(image))
    call = clients.services.transport.get_service
    with pytest.raises(Exception, match="The routing header x-goog-request-params must say"):
        call(run_v2.GetServiceRequest(name=path(name)))
    with pytest.raises(Exception, match="but says location=mars"):
        call(run_v2.GetServiceRequest(name=path(name)), metadata=[("x-goog-request-params", "location=mars")])


def test_a_service_that_is_not_there_is_said_to_be_missing(clients: Clients, name: str) -> None:
    missing = f"Resource '{name}' of kind 'SERVICE' in region 'europe-west1' in project 'p1' does not exist"
    with pytest.raises(exceptions.NotFound, match=missing):
        clients.services.get_service(name=path(name))
    with pytest.raises(exceptions.NotFound, match=missing):
        clients.update(run_v2.Service(name=path(name)), "traffic")
    with pytest.raises(exceptions.NotFound, match=missing):
        clients.services.delete_service(name=path(name))
    with pytest.raises(exceptions.NotFound, match=missing):
        clients.publish(path(name))


def test_an_update_may_create(clients: Clients, image: str, name: str) -> None:
    service = run_v2.Service(name=path(name), template=template(image))
    request = run_v2.UpdateServiceRequest(service=service, allow_missing=True)
    assert clients.services.update_service(request=request).result(timeout=PATIENCE_S).name == path(name)


def test_two_people_who_change_the_same_service_are_told_apart(clients: Clients, image: str, name: str) -> None:
    clients.create(name, template(image))
    mine, theirs = (clients.services.get_service(name=path(name)) for _ in range(2))
    theirs.labels["who"] = "they"
    clients.update(theirs)
    mine.labels["who"] = "i"
    with pytest.raises(exceptions.Aborted, match=f"Conflict for resource '{name}': version"):
        clients.update(mine)
    mine.etag = ""  # whoever sends none does not ask
    assert clients.update(mine).labels["who"] == "i"
    with pytest.raises(exceptions.Aborted, match="Conflict for resource"):
        clients.services.delete_service(request={"name": path(name), "etag": '"old"'})


def test_a_first_image_that_is_not_there_leaves_a_broken_service_that_can_be_mended(
    clients: Clients, image: str, name: str
) -> None:
    absent = f"{ADDRESS}/absent:1"
    with pytest.raises(exceptions.NotFound, match=rf"is not ready and cannot serve traffic\. Image '{absent}' not"):
        clients.create(name, template(absent, f"{name}-v1"))
    broken = clients.services.get_service(name=path(name))
    assert broken.terminal_condition.state == State.CONDITION_FAILED
    assert "not found" in broken.terminal_condition.message
    assert not broken.latest_ready_revision
    assert not broken.reconciling
    assert ask(broken.uri, Authorization="Bearer t")[0] == 503
    with pytest.raises(exceptions.AlreadyExists):
        clients.create(name, template(image))
    broken.template = template(image, f"{name}-v2", WORD="mended")
    mended = clients.update(broken)
    assert mended.terminal_condition.state == State.CONDITION_SUCCEEDED
    assert ask(mended.uri, Authorization="Bearer t") == (200, b"mended")


def test_an_image_that_ends_at_once_fails_its_revision_and_what_answered_goes_on(clients: Clients, name: str) -> None:
    good = clients.build(f"{ADDRESS}/good:1")
    bad = clients.build(
        f"{ADDRESS}/bad:1", {"Dockerfile": 'FROM python\nCOPY a.py /\nCMD ["python", "/a.py"]\n', "a.py": "1 / 0\n"}
    )
    clients.create(name, template(good, f"{name}-v1", WORD="good"))
    service = clients.services.get_service(name=path(name))
    service.template = template(bad, f"{name}-v2")
    said = rf"Revision '{name}-v2' is not ready .* failed to start and listen on the port .* PORT=8000 environment"
    with pytest.raises(exceptions.FailedPrecondition, match=said) as caught:
        clients.update(service)
    assert "exited with code 1" in str(caught.value)
    log = re.search(r"Logs URL: file://(\S+)", str(caught.value))
    assert log is not None
    assert "ZeroDivisionError" in Path(log[1]).read_text()
    service = clients.services.get_service(name=path(name))
    assert service.latest_created_revision.endswith("-v2")
    assert service.latest_ready_revision.endswith("-v1")
    assert shares(service) == {f"{name}-v1": 100}
    assert ask(service.uri, Authorization="Bearer t") == (200, b"good")
    newest, _ = clients.revisions.list_revisions(parent=path(name))
    assert newest.conditions[0].state == State.CONDITION_FAILED
    assert newest.log_uri == f"file://{log[1]}"


def test_a_container_that_listens_elsewhere_fails_its_probe(clients: Clients, image: str, name: str) -> None:
    elsewhere = template(image)
    elsewhere.containers[0].startup_probe.http_get.path = "/missing"
    elsewhere.containers[0].startup_probe.failure_threshold = 1
    files = {
        "Dockerfile": 'FROM python\nCOPY a.py /\nCMD ["python", "/a.py"]\n',
        "a.py": "import http.server, os\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.BaseHTTPRequestHandler)"
        ".serve_forever()\n",
    }
    elsewhere.containers[0].image = clients.build(f"{ADDRESS}/deaf:1", files)
    with pytest.raises(exceptions.FailedPrecondition, match="The startup probe did not succeed in time"):
        clients.create(name, elsewhere)


def test_revisions_get_names_of_their_own_or_those_that_are_wanted(clients: Clients, image: str, name: str) -> None:
    service = clients.create(name, template(image))
    assert service.latest_ready_revision.rpartition("/")[2].startswith(f"{name}-00001-")
    service.template = template(image, f"{name}-mine", WORD="x")
    assert clients.update(service).latest_ready_revision.endswith(f"/{name}-mine")
    service = clients.services.get_service(name=path(name))
    service.template = template(image, f"{name}-mine", WORD="y")
    with pytest.raises(exceptions.AlreadyExists, match=f"Revision named '{name}-mine' with different configuration"):
        clients.update(service)
    service.template.revision = "other-mine"
    with pytest.raises(exceptions.InvalidArgument, match=f"`other-mine` must start with `{name}-`"):
        clients.update(service)


def test_the_same_template_makes_no_second_revision(clients: Clients, image: str, name: str) -> None:
    service = clients.create(name, template(image, f"{name}-v1"))
    again = clients.update(clients.services.get_service(name=path(name)))
    assert again.latest_created_revision == service.latest_created_revision
    assert again.etag != service.etag


def test_traffic_that_is_pinned_stays_where_it_is(clients: Clients, image: str, name: str) -> None:
    clients.create(name, template(image, f"{name}-v1", WORD="one"), traffic=[to(f"{name}-v1", 100)])
    service = clients.services.get_service(name=path(name))
    service.template = template(image, f"{name}-v2", WORD="two")
    service = clients.update(service)
    assert service.latest_ready_revision.endswith("-v2")
    assert shares(service) == {f"{name}-v1": 100}
    assert ask(service.uri, Authorization="Bearer t") == (200, b"one")
    latest = run_v2.TrafficTarget(type_=LATEST, percent=100)
    service = clients.update(run_v2.Service(name=path(name), traffic=[latest]), "traffic")
    assert ask(service.uri, Authorization="Bearer t") == (200, b"two")


@pytest.mark.parametrize(
    ("percents", "problem"),
    [
        ({"v1": 50}, "percentages must sum to 100"),
        ({"v1": 150, "v0": -50}, "percentages must sum to 100"),
        ({"v9": 100}, "Revision named 'NAME-v9' does not exist"),
    ],
)
def test_traffic_that_cannot_be_is_refused(
    clients: Clients, image: str, name: str, percents: dict[str, int], problem: str
) -> None:
    clients.create(name, template(image, f"{name}-v1"))
    traffic = [to(f"{name}-{revision}", percent) for revision, percent in percents.items()]
    with pytest.raises(exceptions.InvalidArgument, match=problem.replace("NAME", name)):
        clients.update(run_v2.Service(name=path(name), traffic=traffic), "traffic")
    assert shares(clients.services.get_service(name=path(name))) == {f"{name}-v1": 100}


def test_a_mask_changes_what_it_names_and_nothing_else(clients: Clients, image: str, name: str) -> None:
    clients.create(name, template(image, f"{name}-v1"), labels={"a": "1"}, description="before")
    changed = run_v2.Service(name=path(name), labels={"b": "2"}, description="after")
    service = clients.update(changed, "labels")
    assert (dict(service.labels), service.description) == ({"b": "2"}, "before")
    assert service.template.revision == f"{name}-v1"
    service = clients.update(run_v2.Service(name=path(name)), "description", "labels", "template.annotations")
    assert (dict(service.labels), service.description) == ({}, "")
    assert service.template.revision == f"{name}-v1"
    for wrong in ("nothing", "uri", "template.nothing"):
        with pytest.raises(exceptions.InvalidArgument, match=f"update_mask: `{wrong}` is no field"):
            clients.update(changed, wrong)


def test_who_only_validates_changes_nothing(clients: Clients, image: str, name: str) -> None:
    request: dict[str, Any] = {"parent": PARENT, "service_id": name, "validate_only": True}
    request["service"] = run_v2.Service(template=template(image))
    clients.services.create_service(request=request).result(timeout=PATIENCE_S)
    with pytest.raises(exceptions.NotFound):
        clients.services.get_service(name=path(name))


def test_everybody_may_ask_once_the_policy_says_so(clients: Clients, image: str, name: str) -> None:
    service = clients.create(name, template(image, WORD="hello"))
    status, body = ask(service.uri, "/a")
    assert (status, b"does not have permission to get URL /a" in body) == (403, True)
    policy = clients.publish(service.name)
    assert ask(service.uri) == (200, b"hello")
    stale = policy_pb2.Policy(etag=b"before")
    with pytest.raises(exceptions.Aborted, match="There were concurrent policy changes"):
        clients.services.set_iam_policy(request=iam_policy_pb2.SetIamPolicyRequest(resource=service.name, policy=stale))
    policy.bindings[0].members.remove("allUsers")
    clients.services.set_iam_policy(request=iam_policy_pb2.SetIamPolicyRequest(resource=service.name, policy=policy))
    assert ask(service.uri)[0] == 403
    clients.update(run_v2.Service(name=service.name, invoker_iam_disabled=True), "invoker_iam_disabled")
    assert ask(service.uri) == (200, b"hello")


@pytest.mark.parametrize(("role", "member"), [("run.invoker", "allUsers"), ("roles/run.invoker", "everybody")])
def test_a_policy_of_unknown_roles_or_members_is_refused(
    clients: Clients, image: str, name: str, role: str, member: str
) -> None:
    service = clients.create(name, template(image))
    policy = policy_pb2.Policy(bindings=[policy_pb2.Binding(role=role, members=[member])])
    with pytest.raises(exceptions.InvalidArgument, match=r"does not exist|unknown type"):
        clients.services.set_iam_policy(
            request=iam_policy_pb2.SetIamPolicyRequest(resource=service.name, policy=policy)
        )


def test_a_revision_that_answers_cannot_be_deleted(clients: Clients, image: str, name: str) -> None:
    service = clients.create(name, template(image, f"{name}-v1"))
    service.template = template(image, f"{name}-v2", WORD="x")
    service = clients.update(service)
    with pytest.raises(exceptions.FailedPrecondition, match="actively serving"):
        clients.revisions.delete_revision(name=service.latest_ready_revision)
    clients.revisions.delete_revision(name=f"{path(name)}/revisions/{name}-v1").result(timeout=PATIENCE_S)
    (left,) = clients.revisions.list_revisions(parent=path(name))
    assert left.name == service.latest_ready_revision
    with pytest.raises(exceptions.NotFound, match=f"Revision '{name}-v1' does not exist"):
        clients.revisions.get_revision(name=f"{path(name)}/revisions/{name}-v1")


def test_google_keeps_some_paths_to_itself(clients: Clients, image: str, name: str) -> None:
    service = clients.create(name, template(image), invoker_iam_disabled=True)
    assert ask(service.uri, "/healthz")[0] == 404
    assert ask(service.uri, "/health")[0] == 200


def test_a_container_that_ends_is_started_again_by_a_later_request(clients: Clients, name: str) -> None:
    files = {
        "Dockerfile": 'FROM python\nCOPY a.py /\nCMD ["python", "/a.py"]\n',
        "a.py": "import http.server, os\n"
        "class Once(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        if self.path == '/end':\n"
        "            os._exit(3)\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Once).serve_forever()\n",
    }
    service = clients.create(name, template(clients.build(f"{ADDRESS}/once:1", files)), invoker_iam_disabled=True)
    ask(service.uri, "/end")
    until(lambda: ask(service.uri, "/")[0] == 200)


def test_what_is_deleted_and_made_again_at_once_answers(clients: Clients, image: str, name: str) -> None:
    first = clients.create(name, template(image, f"{name}-v1", WORD="one"), invoker_iam_disabled=True)
    for word in ("two", "three"):
        deleting = clients.services.delete_service(name=path(name))
        made = clients.create(name, template(image, f"{name}-v1", WORD=word), invoker_iam_disabled=True)
        deleting.result(timeout=PATIENCE_S)
        assert ask(made.uri) == (200, word.encode())
        assert made.uid != first.uid


def test_what_is_deleted_while_it_starts_is_gone(clients: Clients, name: str) -> None:
    saying = SERVER.replace(
        "import http.server, os",
        "import http.server, os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(30)",
    )
    found = clients.build(f"{ADDRESS}/saying:1", {**FILES, "server.py": saying})
    service = run_v2.Service(template=template(found, f"{name}-v1"))
    making = clients.services.create_service(parent=PARENT, service_id=name, service=service)
    noted = clients.stand_ins.folder / "revisions" / f"{name}-v1" / "pid"
    until(noted.exists)
    clients.services.delete_service(name=path(name)).result(timeout=PATIENCE_S)
    with pytest.raises(exceptions.NotFound, match="was deleted meanwhile"):
        making.result(timeout=PATIENCE_S)
    assert identity(int(noted.read_text())) is None


def test_two_changes_at_once_both_come_about_one_after_the_other(clients: Clients, image: str, name: str) -> None:
    clients.create(name, template(image, f"{name}-v1"), invoker_iam_disabled=True)
    operations = []
    for number in (2, 3):
        service = run_v2.Service(name=path(name), template=template(image, f"{name}-v{number}", WORD=str(number)))
        operations.append(clients.services.update_service(service=service, update_mask={"paths": ["template"]}))
    for operation in operations:
        operation.result(timeout=PATIENCE_S)
    service = clients.services.get_service(name=path(name))
    assert (service.latest_ready_revision.endswith("-v3"), service.reconciling) == (True, False)
    assert ask(service.uri) == (200, b"3")
