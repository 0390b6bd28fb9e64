from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from records_testing import model_for

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.records.deployment import DeployedVersion, Deployment, Live, VersionState

Deploy = Callable[..., DeployedVersion]


@pytest.fixture
def model(store: Store) -> Artifact:
    return model_for(store)


@pytest.fixture
def shop() -> Deployment:
    return Deployment("shop", "local")


@pytest.fixture
def deploy(shop: Deployment, model: Artifact) -> Deploy:
    def call() -> DeployedVersion:
        added = shop.add_version(model, {"serve": {"port": 8000}})
        shop.went_live(added.number, Live(url=f"http://127.0.0.1:800{added.number}"))
        return shop.version(added.number)

    return call


def numbers(versions: list[DeployedVersion]) -> list[int]:
    return [version.number for version in versions]


def states(deployment: Deployment) -> str:
    return " ".join(version.state.value for version in deployment.versions)


def told(deployment: Deployment) -> list[str]:
    return [f"{event.event} {event.version}" for event in deployment.new_events]


def test_a_version_knows_the_model_it_was_made_from(shop: Deployment, model: Artifact) -> None:
    added = shop.add_version(model, {"serve": {"port": 8000}}, ["accuracy_drop"])
    assert (added.number, added.model_ref, added.model_digest) == (1, "digits@1", model.digest)
    assert (added.model_path, added.config) == (str(model.path), {"serve": {"port": 8000}})
    assert (added.accepted_failed_checks, added.state) == (("accuracy_drop",), VersionState.starting)
    assert shop.current is None
    assert shop.previous() is None


def test_a_version_that_goes_live_takes_the_place_of_the_one_before(shop: Deployment, deploy: Deploy) -> None:
    deploy()
    second = deploy()
    assert states(shop) == "replaced live"
    assert shop.current == second
    assert shop.live == Live(url="http://127.0.0.1:8002")
    assert told(shop) == ["start 1", "deploy 1", "start 2", "deploy 2"]


def test_a_version_that_does_not_start_leaves_the_one_before_in_service(
    shop: Deployment, deploy: Deploy, model: Artifact
) -> None:
    deploy()
    shop.failed(shop.add_version(model, {}).number, "port 8000 is taken")
    assert states(shop) == "live failed"
    assert shop.current_number == 1
    assert shop.live is not None
    assert shop.version(2).reason == "port 8000 is taken"
    assert deploy().replaces == 1
    assert numbers([v for v in [shop.previous()] if v]) == [1]


def test_each_rollback_goes_one_step_further_back(shop: Deployment, deploy: Deploy) -> None:
    for _ in range(3):
        deploy()
    for expected in (2, 1):
        previous = shop.previous()
        assert previous is not None
        assert previous.number == expected
        shop.went_live(expected, Live())
        assert shop.current_number == expected
    assert shop.previous() is None
    assert states(shop) == "live replaced replaced"
    assert told(shop)[-2:] == ["rollback 2", "rollback 1"]


def test_a_rollback_after_a_rollback_and_a_new_version_skips_what_was_given_up(
    shop: Deployment, deploy: Deploy
) -> None:
    deploy()
    deploy()
    shop.went_live(1, Live())  # the second was bad
    third = deploy()
    assert third.replaces == 1
    previous = shop.previous()
    assert previous is not None
    assert previous.number == 1


def test_a_version_that_failed_later_is_not_gone_back_to(shop: Deployment, deploy: Deploy) -> None:
    for _ in range(3):
        deploy()
    shop.went_live(2, Live())
    shop.failed(2, "its worker died")
    assert shop.live is None
    previous = shop.previous()
    assert previous is not None
    assert previous.number == 1
    shop.went_live(1, Live())
    deploy()
    assert shop.previous() == shop.version(1)


def test_a_version_that_failed_before_the_next_was_deployed_is_skipped(shop: Deployment, deploy: Deploy) -> None:
    deploy()
    deploy()
    shop.failed(2, "its worker died")
    assert deploy().replaces == 2
    assert shop.previous() == shop.version(1)
    assert numbers(shop.returnable()) == [3, 1]


def test_a_stopped_version_can_be_started_again_and_left_for_the_one_before(shop: Deployment, deploy: Deploy) -> None:
    deploy()
    deploy()
    shop.stopped("asked to")
    assert (states(shop), shop.live, shop.current_number) == ("replaced stopped", None, 2)
    previous = shop.previous()
    assert previous is not None
    assert previous.number == 1
    shop.went_live(2, Live())
    assert told(shop)[-2:] == ["stop 2", "restart 2"]
    assert states(shop) == "replaced live"
    assert shop.version(2).reason == ""


def test_stopping_ends_what_was_about_to_start(shop: Deployment, deploy: Deploy, model: Artifact) -> None:
    deploy()
    shop.add_version(model, {})
    shop.stopped()
    assert states(shop) == "stopped stopped"


def test_an_attempt_that_was_killed_counts_as_failed_when_the_next_begins(shop: Deployment, model: Artifact) -> None:
    shop.add_version(model, {})
    shop.add_version(model, {})
    assert states(shop) == "failed starting"
    assert "given up" in shop.version(1).reason


def test_an_attempt_that_was_taken_for_dead_may_still_go_live(
    shop: Deployment, deploy: Deploy, model: Artifact
) -> None:
    deploy()
    slow = shop.add_version(model, {})
    fast = deploy()
    shop.went_live(slow.number, Live())
    assert shop.current_number == slow.number
    assert [v.number for v in (shop.previous(),) if v] == [fast.number]
    shop.went_live(fast.number, Live())
    assert [v.number for v in (shop.previous(),) if v] == [1]


def test_what_answers_and_what_a_rollback_leads_to_is_in_use(shop: Deployment, deploy: Deploy, model: Artifact) -> None:
    assert shop.in_use() == shop.returnable() == []
    for _ in range(3):
        deploy()
    assert numbers(shop.in_use()) == [3, 2]
    assert numbers(shop.returnable()) == [3, 2, 1]
    shop.add_version(model, {})
    assert numbers(shop.in_use()) == [3, 4, 2]
    assert numbers(shop.returnable()) == [4, 3, 2, 1]
    shop.failed(4, "no")
    shop.failed(3, "it died")
    assert numbers(shop.in_use()) == [2]
    shop.went_live(2, Live())
    assert numbers(shop.in_use()) == [2, 1]
    assert numbers(shop.returnable()) == [2, 1]
    shop.stopped()
    assert shop.in_use() == []
    assert numbers(shop.returnable()) == [2, 1]


def test_what_a_version_is_called_elsewhere_is_remembered(shop: Deployment, deploy: Deploy) -> None:
    deploy()
    shop.note(1, {"image": "one", "revision": "shop-1"})
    shop.note(1, {"revision": "shop-2"})
    assert shop.version(1).remote == {"image": "one", "revision": "shop-2"}
    written = shop.to_json()
    assert Deployment.from_json(written).version(1).remote == {"image": "one", "revision": "shop-2"}
    del written["versions"][0]["remote"]
    assert Deployment.from_json(written).version(1).remote == {}, "of an mltool that deployed to this machine alone"


def test_what_is_written_is_read_again(shop: Deployment, deploy: Deploy) -> None:
    deploy()
    deploy()
    assert Deployment.from_json(shop.to_json()) == replace(shop, new_events=[])
    shop.stopped("asked to")
    assert Deployment.from_json(shop.to_json()) == shop
    assert Deployment.from_json(Deployment("shop", "docker").to_json()) == Deployment("shop", "docker")


def test_a_circle_that_somebody_edited_is_no_endless_loop(shop: Deployment, deploy: Deploy) -> None:
    deploy()
    deploy()
    shop.versions = [replace(version, replaces=3 - version.number) for version in shop.versions]
    assert {version.number for version in shop.returnable()} == {1, 2}
