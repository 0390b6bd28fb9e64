"""A model goes to Cloud Run and back, by Google's own clients against the stand-ins."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gcp_testing import Project, gcp_project
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2

import mltool
from mltool.artifacts.checks import CheckStatus
from mltool.artifacts.store import Store
from mltool.core.config.load import resolve
from mltool.core.errors import ArtifactError, ConfigError
from mltool.integrations.google.run_messages import Share
from mltool.integrations.google.standins.cloud import StandIns
from mltool.records.ledger import Ledger
from mltool.stages.deploy.asking import answers_as_recorded
from mltool.stages.deploy.config import GcpConfig, GcpJob
from mltool.stages.deploy.gcp.rollout import shared_out
from mltool.stages.deploy.gcp.source import packed
from mltool.stages.deploy.gcp.wanted import Wanted, wanted
from small_models import linear_model
from user_project import said

__all__ = ["said"]

pytestmark = pytest.mark.xdist_group("gcp")
TOKEN = {"Authorization": "Bearer of-anybody"}


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[StandIns]:
    with StandIns() as running:
        yield running


@pytest.fixture
def project(stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with gcp_project(stand_ins, tmp_path, monkeypatch) as made:
        yield made


def test_a_model_goes_into_service_is_replaced_and_comes_back(project: Project, said: list[str]) -> None:
    first = project.deploy()
    assert first.check.status is CheckStatus.passed
    assert first.traffic == {first.revision: 100}
    assert answers_as_recorded(first.url, "linear", project.first, TOKEN).status is CheckStatus.passed
    assert answers_as_recorded(first.url, "linear", project.first).detail.startswith("it answers 403"), "private"
    assert any("the log of the build is at" in text for text in said)

    second = project.deploy("linear@2")
    assert second.url == first.url
    assert second.traffic == {second.revision: 100}
    assert answers_as_recorded(second.url, "linear", project.second, TOKEN).status is CheckStatus.passed

    back = mltool.deploy.rollback("linear")
    assert back.current is not None
    assert back.current.model_ref == "linear@1"
    assert project.traffic() == {first.revision: 100}
    assert answers_as_recorded(first.url, "linear", project.first, TOKEN).status is CheckStatus.passed
    assert project.num_builds == 2

    status = mltool.deploy.status()
    assert status["state"] == "answers"
    assert [event["event"] for event in status["history"]] == ["start", "deploy", "start", "deploy", "rollback"]
    assert [row["state"] for row in mltool.deploy.list()] == ["in service"]
    log = mltool.deploy.logs()
    assert log.command == f"gcloud run services logs read linear --project={project.id} --region=europe-west1"
    assert log.path is None

    plan = mltool.deploy.plan_stop("linear")
    assert plan["deletes"] == [
        f"the service `linear` in {project.id}, europe-west1, with all its revisions, which answers on {first.url}"
    ]
    mltool.deploy.stop("linear")
    status = mltool.deploy.status()
    assert status["state"] == "stopped"
    assert status["traffic"] == {}
    assert answers_as_recorded(first.url, "linear", project.first, TOKEN).status is CheckStatus.failed
    again = project.deploy("linear@2")
    assert answers_as_recorded(again.url, "linear", project.second, TOKEN).status is CheckStatus.passed
    assert project.num_builds == 2, "the images were still there"


def test_what_is_deployed_already_is_asked_again_and_no_more(project: Project) -> None:
    first = project.deploy()
    num_calls = len(project.calls)
    again = project.deploy()
    since = project.calls[num_calls:]
    assert again.revision == first.revision
    assert again.version == first.version
    assert again.build == first.build
    assert "CloudBuild.CreateBuild" not in since
    assert "Storage.Insert" not in since
    assert "Services.UpdateService" not in since
    assert len(mltool.deploy.status()["versions"]) == 1


def test_the_json_of_a_release_holds_all_that_a_script_needs(project: Project) -> None:
    made = project.deploy().to_json()
    json.dumps(made)
    assert made["image_digest"].startswith("sha256:")
    assert made["image"] == f"europe-west1-docker.pkg.dev/{project.id}/mltool/linear@{made['image_digest']}"
    assert {made["service"], made["deployment"]} == {"linear"}
    assert made["checks"][0]["status"] == "passed"
    assert made["traffic"] == {made["revision"]: 100}
    assert made["build"]
    assert not made["accepted"]


def test_the_defaults_cost_little_and_are_always_sent(project: Project) -> None:
    project.deploy()
    service = project.service()
    container = service.template.containers[0]
    assert dict(container.resources.limits) == {"cpu": "1", "memory": "1024Mi"}
    assert container.resources.cpu_idle
    assert container.resources.startup_cpu_boost
    assert (container.startup_probe.http_get.path, container.startup_probe.period_seconds) == ("/health", 5)
    assert container.startup_probe.failure_threshold == 24
    assert {one.name: one.value for one in container.env}["MLTOOL_SERVE__THREADS"] == "1"
    assert "@sha256:" in container.image
    assert service.template.max_instance_request_concurrency == 8
    assert (service.scaling.min_instance_count, service.scaling.max_instance_count) == (0, 3)
    assert dict(service.labels) == {"managed-by": "mltool"}
    assert dict(service.template.labels) == {"managed-by": "mltool", "mltool-model": "linear", "mltool-version": "1"}


def test_some_of_the_traffic_can_go_to_a_model_first(project: Project) -> None:
    first = project.deploy()
    canary = project.deploy("linear@2", "traffic_percent=10")
    assert canary.traffic == {first.revision: 90, canary.revision: 10}
    whole = project.deploy("linear@2")
    assert whole.revision == canary.revision
    assert project.traffic() == {canary.revision: 100}


def test_a_rollback_after_a_canary_brings_back_the_other_revision(project: Project) -> None:
    first = project.deploy()
    project.deploy("linear@2", "traffic_percent=25")
    project.deploy("linear@2", "traffic_percent=100")
    plan = mltool.deploy.plan_rollback("linear")
    assert (plan["to"], plan["revision"]) == ("version 1, linear@1", first.revision)
    back = mltool.deploy.rollback("linear")
    assert project.traffic() == {first.revision: 100}
    assert back.live is not None
    assert (back.current_number, back.live.traffic) == (1, {first.revision: 100})
    with pytest.raises(ArtifactError, match="has no earlier version that answered"):
        mltool.deploy.rollback("linear")


def test_a_rollback_of_a_canary_takes_its_share_away(project: Project) -> None:
    first = project.deploy()
    project.deploy("linear@2", "traffic_percent=25")
    mltool.deploy.rollback("linear")
    assert project.traffic() == {first.revision: 100}


def test_a_rollback_does_not_lead_to_what_a_stop_has_deleted(project: Project) -> None:
    project.deploy()
    project.deploy("linear@2")
    mltool.deploy.stop("linear")
    with pytest.raises(ArtifactError, match="`linear` is stopped"):
        mltool.deploy.rollback("linear")
    project.deploy("linear@2", "concurrency=4")
    with pytest.raises(ArtifactError, match="has no earlier version that answered"):
        mltool.deploy.rollback("linear")


@pytest.mark.parametrize(
    ("percent", "before", "after"),
    [(75, [60, 40], [45, 30]), (90, [75, 25], [68, 22]), (1, [50, 50], [1]), (99, [34, 33, 33], [33, 33, 33])],
)
def test_the_rest_of_the_traffic_is_shared_as_it_was(percent: int, before: list[int], after: list[int]) -> None:
    among = [Share(revision=f"r{index}", percent=share) for index, share in enumerate(before)]
    shares = shared_out(percent, among)
    assert sum(share.percent for share in shares) == percent
    assert sorted((share.percent for share in shares), reverse=True) == after


def test_a_second_canary_leaves_the_first_its_part(project: Project) -> None:
    first = project.deploy()
    second = project.deploy("linear@2", "traffic_percent=40")
    third = project.deploy("linear@2", "traffic_percent=25", "concurrency=4")
    assert third.traffic == {first.revision: 45, second.revision: 30, third.revision: 25}


def test_bindings_of_others_stay_when_a_service_is_opened_and_closed(project: Project) -> None:
    project.deploy()
    client, name = project.cloud.client(run_v2.ServicesClient), project.service().name
    theirs = policy_pb2.Binding(role="roles/run.invoker", members=["user:ann@example.com", "allUsers"])
    viewer = policy_pb2.Binding(role="roles/run.viewer", members=["user:bob@example.com"])
    policy = policy_pb2.Policy(bindings=[theirs, viewer])
    client.set_iam_policy(request=iam_policy_pb2.SetIamPolicyRequest(resource=name, policy=policy))
    project.deploy("linear@1", "public=false", "concurrency=4")
    found = client.get_iam_policy(request=iam_policy_pb2.GetIamPolicyRequest(resource=name))
    assert {(one.role, *one.members) for one in found.bindings} == {
        ("roles/run.invoker", "user:ann@example.com"), ("roles/run.viewer", "user:bob@example.com"),
    }  # fmt: skip
    project.deploy("linear@1", "public=true", "concurrency=4")
    found = client.get_iam_policy(request=iam_policy_pb2.GetIamPolicyRequest(resource=name))
    assert {member for one in found.bindings for member in one.members} == {
        "allUsers", "user:ann@example.com", "user:bob@example.com",
    }  # fmt: skip


def test_nothing_can_keep_the_rest_of_the_traffic_the_first_time(project: Project) -> None:
    with pytest.raises(ConfigError, match="nothing else answers as `linear`"):
        project.deploy("linear@1", "traffic_percent=10")
    assert project.service() is None


def test_settings_stay_as_they_were_but_for_what_is_written(project: Project) -> None:
    project.deploy("linear@1", "concurrency=4", "max_instances=2", "memory_gib=2")
    mltool.deploy.gcp("linear@2", "max_instances=5")
    service = project.service()
    assert service.template.max_instance_request_concurrency == 4
    assert service.scaling.max_instance_count == 5
    assert service.template.containers[0].resources.limits["memory"] == "2048Mi"


@pytest.mark.parametrize(
    ("emulator", "project_id", "carried"),
    [
        (True, None, True),
        (True, "same", True),
        (True, "another-1", False),
        (False, "same", False),
        (False, None, False),
    ],
)
def test_settings_stay_only_where_they_were_tried(
    project: Project, monkeypatch: pytest.MonkeyPatch, emulator: bool, project_id: str | None, carried: bool
) -> None:
    """What was open to everybody on stand-ins is not so in the real cloud, nor in another project."""
    project.deploy("linear@1", "public=true", "min_instances=1", "concurrency=4")
    deployment = Ledger(project.store.root).read("linear")
    if not emulator:
        monkeypatch.delenv("MLTOOL_GCP__EMULATOR")
    given = [f"project={project.id if project_id == 'same' else project_id}"] if project_id else []
    config = wanted(project.second, resolve(GcpJob, "gcp", given), deployment).config
    assert (config.public, config.min_instances, config.concurrency) == ((True, 1, 4) if carried else (False, 0, 8))
    assert config.emulator == (project.stand_ins.grpc_endpoint if emulator else None)


def test_a_change_of_the_service_alone_makes_no_revision(project: Project) -> None:
    first = project.deploy()
    second = project.deploy("linear@1", "max_instances=7")
    assert second.revision == first.revision
    assert second.version == 2
    service = project.service()
    assert service.scaling.max_instance_count == 7


def test_a_public_service_answers_everybody_until_it_is_private_again(project: Project) -> None:
    made = project.deploy("linear@1", "public=true")
    assert answers_as_recorded(made.url, "linear", project.first).status is CheckStatus.passed
    project.deploy("linear@2")
    assert answers_as_recorded(made.url, "linear", project.second).status is CheckStatus.passed, "it stays public"
    project.deploy("linear@2", "public=false")
    assert answers_as_recorded(made.url, "linear", project.second).detail.startswith("it answers 403")


def test_a_plan_says_what_would_be_made_and_makes_nothing(project: Project) -> None:
    plan = mltool.deploy.plan_gcp("linear@1", *project.place)
    json.dumps(plan)
    assert [step.partition("`")[0].strip() for step in plan["steps"]] == [
        "make the repository", "make the bucket", "build the image", "make the service",
        "make a revision, and ask it for predictions", "give it 100 % of the traffic",
    ]  # fmt: skip
    assert plan["upload_bytes"] > 10_000
    assert not mltool.deploy.list()
    writing = {"Insert", "Upload", "Create", "Update", "Delete", "Set", "Patch"}
    assert not [call for call in project.calls if call.partition(".")[2].startswith(tuple(writing))]


def test_a_plan_shows_what_of_what_is_there_would_change(project: Project) -> None:
    first = project.deploy()
    same = mltool.deploy.plan_gcp("linear@1")
    assert same["changes"] == []
    assert same["steps"] == ["give it 100 % of the traffic"]
    assert same["revision"] == first.revision
    plan = mltool.deploy.plan_gcp("linear@2", "memory_gib=2", "public=true")
    assert plan["now"] == [f"{first.revision} gets 100 % of the traffic"]
    changes = {change.partition(":")[0] for change in plan["changes"]}
    assert changes == {"mltool-version", "image", "memory", "public"}
    assert "memory: 1024Mi -> 2048Mi" in plan["changes"]


def test_the_same_model_is_packed_into_the_same_bytes_and_nothing_else_with_it(store: Store, tmp_path: Path) -> None:
    Path(".env").write_text("KEY=secret")
    (tmp_path / "gha-creds-1.json").write_text("{}")
    wanted = Wanted(linear_model(store), GcpConfig(service="linear"))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = packed(wanted, tmp_path / "one"), packed(wanted, tmp_path / "two")
    assert first.digest == second.digest
    assert first.path.read_bytes() == second.path.read_bytes()
    with tarfile.open(first.path) as archive:
        names = archive.getnames()
        assert {member.mtime for member in archive.getmembers()} == {0}
    assert {name.partition("/")[0] for name in names} == {
        ".dockerignore", "Dockerfile", "mltool", "model", "requirements.txt",
    }  # fmt: skip
    assert not [name for name in names if "creds" in name or ".env" in name]


def test_there_is_nothing_to_roll_back_to_at_first(project: Project) -> None:
    project.deploy()
    with pytest.raises(ArtifactError, match="`linear` has no earlier version that answered"):
        mltool.deploy.rollback()


def test_a_deployment_elsewhere_is_not_taken_over(project: Project) -> None:
    mltool.deploy.local("linear@1", port=0)
    try:
        with pytest.raises(ConfigError, match="`linear` is deployed to `local`, not to `gcp`"):
            project.deploy()
        assert project.deploy("linear@1", "service=other").wanted.name == "other"
    finally:
        mltool.deploy.stop("linear")


def test_a_service_is_not_left_behind_in_another_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with Google itself, which does not end as stand-ins do."""
    project.deploy()
    ledger = Ledger(project.store.root)
    with ledger.locked("linear") as deployment:
        (version,) = deployment.versions
        deployment.versions = [replace(version, config={**version.config, "emulator": None})]
    with pytest.raises(ConfigError, match=f"`linear` is in service in {project.id}, europe-west1"):
        mltool.deploy.gcp("linear@2", "project=another", "region=europe-west1")
    with pytest.raises(ConfigError, match="is in service in"):
        mltool.deploy.plan_gcp("linear@2", f"project={project.id}", "region=europe-west4")


def test_what_has_ended_with_its_stand_ins_can_be_stopped_and_deployed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    with StandIns() as first, gcp_project(first, tmp_path, monkeypatch) as project:
        project.deploy()
    assert "does not answer" in mltool.deploy.status()["problem"]
    with StandIns() as second:
        monkeypatch.setenv("MLTOOL_GCP__EMULATOR", second.grpc_endpoint)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", second.storage_endpoint)
        project.deploy("linear@2")
        assert mltool.deploy.status()["state"] == "answers"
        gone = second.grpc_endpoint
    stopped = mltool.deploy.stop("linear")
    assert f"the stand-in on `{gone}` is gone, and the service `linear` with it" in said
    assert stopped.versions[-1].reason == "it has ended with the stand-ins"
    assert mltool.deploy.status()["state"] == "stopped"
