"""The whole way of a deployment, walked by Google's own clients."""

from __future__ import annotations

from collections import Counter

from google.cloud import run_v2

from mltool.integrations.google.standins.cloud import StandIns
from standins_testing import PARENT, Clients, ask, template, to

NAME = f"{PARENT}/services/iris"
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED


def test_from_a_bucket_to_a_canary_and_back(stand_ins: StandIns, clients: Clients, image: str) -> None:
    service = clients.create("iris", template(image, "iris-v1", WORD="one"), labels={"managed-by": "mltool"})
    assert service.terminal_condition.state == SUCCEEDED
    assert not service.reconciling
    assert [(one.revision, one.percent) for one in service.traffic_statuses] == [("iris-v1", 100)]
    assert ask(service.uri)[0] == 403
    assert ask(service.uri, Authorization="Bearer a-token") == (200, b"one")
    clients.publish(NAME)
    assert ask(service.uri) == (200, b"one")
    assert ask(service.uri, "/K_REVISION") == (200, b"iris-v1")
    assert ask(service.uri, body=b"some data") == (200, b"some data")

    service = clients.services.get_service(name=NAME)
    service.template = template(image, "iris-v2", WORD="two")
    service.traffic = [to("iris-v1", 75), to("iris-v2", 25, "canary")]
    service = clients.update(service)
    canary = next(one.uri for one in service.traffic_statuses if one.tag)
    assert ask(canary) == (200, b"two")
    assert Counter(ask(service.uri)[1] for _ in range(100)) == {b"one": 75, b"two": 25}

    for revision, word in (("iris-v2", b"two"), ("iris-v1", b"one")):
        service = clients.update(run_v2.Service(name=NAME, traffic=[to(revision, 100)]), "traffic")
        assert {ask(service.uri)[1] for _ in range(5)} == {word}
        assert service.template.revision == "iris-v2", "moving traffic makes no revision"
    names = [one.name.rpartition("/")[2] for one in clients.revisions.list_revisions(parent=NAME)]
    assert names == ["iris-v2", "iris-v1"]

    clients.services.delete_service(name=NAME).result(timeout=90)
    assert not list(clients.services.list_services(parent=PARENT))
    assert "Services.DeleteService" in stand_ins.calls
