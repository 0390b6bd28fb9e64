"""Whatever goes wrong with Google Cloud is one line and an exit code; the next run goes on from there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcp_testing import Project, gcp_project
from google.cloud import run_v2

import mltool
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.load import resolve
from mltool.core.errors import CheckError, ConfigError, MltoolError, RemoteError
from mltool.integrations.google import run
from mltool.integrations.google.standins.cloud import StandIns
from mltool.records.deployment import VersionState
from mltool.stages.deploy.config import GcpJob
from mltool.stages.deploy.gcp.stage import deploy_gcp
from small_models import forged_model, linear_model

pytestmark = pytest.mark.xdist_group("gcp")

LOOKING = (
    "ArtifactRegistry.GetRepository", "CloudBuild.ListBuilds", "Services.GetService", "Buckets.List", "Buckets.Get",
    "ArtifactRegistry.GetTag", "Objects.Get", "CloudBuild.GetBuild", "Operations.GetOperation", "Services.GetIamPolicy",
)  # fmt: skip
CHANGING = (
    "ArtifactRegistry.CreateRepository", "Buckets.Insert", "Objects.Insert", "CloudBuild.CreateBuild",
    "Services.CreateService", "Services.UpdateService", "Services.SetIamPolicy",
)  # fmt: skip
"""All calls of a first deployment that goes public."""
CUTS = [
    *((method, "before") for method in (*LOOKING, *CHANGING)),
    *((method, "after") for method in CHANGING),  # it was done, and nobody knows
]
NEXT_TIME = ("Revisions.ListRevisions", "Services.GetIamPolicy", "Services.UpdateService", "CloudBuild.CreateBuild")
"""Those of a second one that are others, or come at another place."""
ROLES = {
    "Services": "roles/run.admin",
    "Revisions": "roles/run.admin",
    "CloudBuild": "roles/cloudbuild.builds.editor",
    "ArtifactRegistry": "roles/artifactregistry.admin",
    "Buckets": "roles/storage.admin",
    "Objects": "roles/storage.admin",
}


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[StandIns]:
    with StandIns() as running:
        yield running


@pytest.fixture
def project(stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with gcp_project(stand_ins, tmp_path, monkeypatch) as made:
        yield made


def refusal(project: Project, ref: str = "linear@1", *overrides: str) -> MltoolError:
    """The error of a deployment that fails, which must be one line."""
    with pytest.raises(MltoolError) as caught:
        project.deploy(ref, *overrides)
    error = caught.value
    assert "\n" not in error.message
    assert not error.message.endswith(".")
    assert "Traceback" not in error.message
    return error


def left(project: Project) -> str:
    """What the last run said it left in the project."""
    return next((text for text in reversed(project.said) if text.startswith("left in the project: ")), "")


# What is missing ------------------------------------------------------------------------------------------------------


def test_everything_that_is_missing_is_said_at_once(project: Project) -> None:
    with pytest.raises(RemoteError) as caught:
        mltool.deploy.gcp("linear@1")
    assert re.split(r"\n  \d\. ", caught.value.message) == [
        "`linear@1` cannot be deployed to Google Cloud yet:",
        "no project is given; set `project=` or GOOGLE_CLOUD_PROJECT; `gcloud projects list` shows yours",
        "no region is given; set `region=`, such as `region=europe-west1`; `gcloud run regions list` shows all",
    ]
    assert caught.value.exit_code == 5
    with pytest.raises(RemoteError, match="no project is given"):
        mltool.deploy.gcp("linear@1", "region=europe-west1")
    with pytest.raises(RemoteError, match="no region is given"):
        mltool.deploy.plan_gcp("linear@1", f"project={project.id}")
    assert not mltool.deploy.list()


@pytest.mark.parametrize("api", ["run", "cloudbuild", "artifactregistry", "storage"])
def test_an_api_that_is_not_enabled_is_named_with_its_command(project: Project, api: str) -> None:
    project.fails_with(disabled_apis=frozenset({f"{api}.googleapis.com"}))
    error = refusal(project)
    assert error.exit_code == 5
    assert error.message.endswith(f"is not enabled in the project `{project.id}`")
    assert error.hint == f"`gcloud services enable {api}.googleapis.com --project={project.id}`"
    assert not mltool.deploy.list()


def test_several_apis_that_are_not_enabled_are_all_named(project: Project) -> None:
    project.fails_with(disabled_apis=frozenset({"run.googleapis.com", "storage.googleapis.com"}))
    with pytest.raises(RemoteError) as caught:
        mltool.deploy.plan_gcp("linear@1", *project.place)
    assert caught.value.message.count("gcloud services enable") == 2
    assert "run.googleapis.com" in caught.value.message
    assert "storage.googleapis.com" in caught.value.message


@pytest.mark.parametrize("method", [*LOOKING, *CHANGING])
def test_a_permission_that_is_missing_is_named_and_the_next_run_goes_on(project: Project, method: str) -> None:
    project.fails_with(denied=frozenset({method}))
    error = refusal(project, "linear@1", "public=true")
    assert error.exit_code == 5
    assert error.message.startswith("no permission to ")
    role = ROLES.get(method.partition(".")[0], "roles/")
    assert f"gcloud projects add-iam-policy-binding {project.id} --member=" in str(error.hint)
    assert role in str(error.hint)
    project.works_again()
    made = project.deploy("linear@1", "public=true")
    assert made.traffic == {made.revision: 100}
    assert project.num_builds == 1


@pytest.mark.parametrize("method", NEXT_TIME)
def test_a_permission_that_is_missing_the_second_time_leaves_what_answers(project: Project, method: str) -> None:
    first = project.deploy()
    project.fails_with(denied=frozenset({method}))
    error = refusal(project, "linear@2")
    assert error.message.startswith("no permission to ")
    project.works_again()
    assert project.traffic() == {first.revision: 100}
    second = project.deploy("linear@2")
    assert second.traffic == {second.revision: 100}
    assert project.num_builds == 2


def test_an_account_that_one_may_not_act_as_is_named_with_its_command(project: Project) -> None:
    account = "12-compute@developer.gserviceaccount.com"
    project.fails_with(no_act_as=account)
    error = refusal(project)
    assert error.message == f"no permission to make the service `linear`: you may not act as `{account}`"
    assert f"gcloud iam service-accounts add-iam-policy-binding {account} --project={project.id}" in str(error.hint)
    assert "--role=roles/iam.serviceAccountUser" in str(error.hint)
    project.works_again()
    project.deploy()
    assert project.num_builds == 1


def test_a_model_that_may_not_be_public_answers_in_private(project: Project) -> None:
    project.fails_with(no_public=True)
    error = refusal(project, "linear@1", "public=true")
    assert error.exit_code == 5
    assert error.message == "the organisation of the project forbids services that everybody may ask"
    assert "public=true" in str(error.hint)
    status = mltool.deploy.status()
    assert status["state"] == "answers"
    assert [version["state"] for version in status["versions"]] == ["live"]
    assert not run.is_public(project.cloud, "linear")


@pytest.mark.parametrize("method", ["Services.GetService", "CloudBuild.CreateBuild", "Buckets.Insert"])
def test_a_quota_that_is_used_up_is_said_with_where_to_ask_for_more(project: Project, method: str) -> None:
    project.fails_with(exhausted=frozenset({method}))
    error = refusal(project)
    assert error.exit_code == 5
    assert "a quota of " in error.message
    assert f"https://console.cloud.google.com/iam-admin/quotas?project={project.id}" in str(error.hint)


# What fails there -----------------------------------------------------------------------------------------------------


def test_a_build_that_fails_says_why_and_where_its_log_is(project: Project) -> None:
    project.fails_with(build_failure="step 0: exit status 1")
    error = refusal(project)
    assert error.exit_code == 5
    assert "failed: " in error.message
    assert "step 0: exit status 1" in error.message
    assert "its log is at " in str(error.hint)
    assert all(word in left(project) for word in ("repository `mltool`", "bucket `", "object `gs://", "build `"))
    (version,) = mltool.deploy.status("linear")["versions"]
    assert version["state"] == VersionState.failed
    assert "the build failed" in version["reason"]
    project.works_again()
    assert project.deploy().version == 2
    assert project.num_builds == 2


def test_an_image_that_does_not_start_leaves_a_service_that_is_listed_and_repaired(project: Project) -> None:
    project.fails_with(image_does_not_start=True)
    error = refusal(project)
    assert error.exit_code == 5
    assert "does not start, and nothing answers: The user-provided container failed to start" in error.message
    assert "its log: " in str(error.hint)
    assert "service `linear`, revision `linear-" in left(project)
    status = mltool.deploy.status()
    assert status["state"] == "failed"
    assert "service linear" in status["made"]
    assert "failed to start" in status["problem"]
    assert mltool.deploy.plan_gcp("linear@1", *project.place)["now"][0].startswith("the last change failed: ")
    project.works_again()
    made = project.deploy()
    assert made.traffic == {made.revision: 100}
    assert made.revision.endswith("-2"), "a revision cannot be made again under its name"
    assert project.num_builds == 1


def test_a_next_image_that_does_not_start_gets_no_traffic(project: Project) -> None:
    first = project.deploy()
    project.fails_with(image_does_not_start=True)
    error = refusal(project, "linear@2")
    assert f"does not start, and `{first.revision}` keeps the traffic" in error.message
    status = mltool.deploy.status()
    assert status["state"] == "answers"
    assert status["traffic"] == {first.revision: 100}
    assert [version["state"] for version in status["versions"]] == ["live", "failed"]


def test_a_model_that_answers_otherwise_there_gets_no_traffic(project: Project) -> None:
    forged_model(project.store, project.first, name="linear")
    first = project.deploy()
    error = refusal(project, "linear@3")
    assert isinstance(error, CheckError)
    assert error.exit_code == 4
    assert "answers otherwise than `linear@3`: they differ by " in error.message
    assert error.message.endswith(f"`{first.revision}` keeps the traffic")
    assert project.traffic() == {first.revision: 100}
    assert not [one.tag for one in project.service().traffic if one.tag]
    assert [version["state"] for version in mltool.deploy.status()["versions"]] == ["live", "failed"]
    second = project.deploy("linear@2")
    assert project.traffic() == {second.revision: 100}


def test_the_first_model_that_answers_otherwise_is_not_opened_to_anybody(project: Project) -> None:
    forged_model(project.store, project.first, name="linear")
    error = refusal(project, "linear@3", "public=true")
    assert error.exit_code == 4
    assert "`mltool deploy stop linear` takes it away" in error.message
    assert not run.is_public(project.cloud, "linear")
    mltool.deploy.stop("linear")
    assert project.service() is None


def test_a_service_of_somebody_else_is_left_alone(project: Project) -> None:
    project.deploy()
    service = project.service()
    service.labels = {"team": "shop"}
    project.cloud.client(run_v2.ServicesClient).update_service(service=service).result(timeout=30)
    with pytest.raises(ConfigError, match="was not made by mltool") as caught:
        project.deploy("linear@2")
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match="was not made by mltool"):
        mltool.deploy.stop("linear")
    assert project.service() is not None


# The network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "when"), CUTS)
def test_a_network_that_is_cut_at_any_call_loses_nothing(project: Project, method: str, when: str) -> None:
    project.fails_with(cut_at=method, cut=when)
    error = refusal(project, "linear@1", "public=true")
    assert error.exit_code == 5
    assert "does not answer" in error.message
    assert "run the same command again: it goes on where it stopped" in str(error.hint)
    project.works_again()
    made = project.deploy("linear@1", "public=true")
    assert made.traffic == {made.revision: 100}
    assert run.is_public(project.cloud, "linear")
    assert project.num_builds == 1
    assert [version["state"] for version in mltool.deploy.status()["versions"]] == ["live"]
    assert len(run.revisions_of(project.cloud, "linear")) == 1


def test_a_build_that_still_runs_when_the_next_run_begins_is_waited_for(project: Project) -> None:
    project.fails_with(cut_at="CloudBuild.CreateBuild", cut="after", operation_delay_s=6)
    refusal(project)
    assert "perhaps build `with the tag source-" in left(project)
    project.works_again()
    project.said.clear()
    project.deploy()
    assert "the image of this model is in the registry already" not in project.said
    assert project.num_builds == 1


@pytest.mark.soak
def test_a_network_that_is_cut_after_any_number_of_calls_loses_nothing(project: Project) -> None:
    for num_calls in range(80):
        name = f"cut-{num_calls}"
        project.fails_with(cut_after_calls=num_calls)
        try:
            project.deploy(
                "linear@2", f"service={name}", f"repository=r{num_calls}", f"bucket=b{num_calls}-{project.id}"
            )
        except RemoteError as error:
            assert "does not answer" in error.message  # noqa: PT017
        else:
            break
        project.works_again()
        again = project.deploy(
            "linear@2", f"service={name}", f"repository=r{num_calls}", f"bucket=b{num_calls}-{project.id}"
        )
        assert again.traffic == {again.revision: 100}
        assert len(run.revisions_of(project.cloud, name)) == 1
        mltool.deploy.stop(name)
    assert num_calls > 20
    assert project.num_builds == num_calls + 1


def test_a_rollback_that_is_cut_off_is_done_by_the_next(project: Project) -> None:
    first = project.deploy()
    second = project.deploy("linear@2")
    for when in ("before", "after"):
        project.fails_with(cut_at="Services.UpdateService", cut=when)
        with pytest.raises(RemoteError, match="does not answer"):
            mltool.deploy.rollback("linear")
        project.works_again()
        assert mltool.deploy.status()["version"] == second.version
    mltool.deploy.rollback("linear")
    assert project.traffic() == {first.revision: 100}


def test_what_cannot_be_asked_is_shown_from_the_ledger(project: Project) -> None:
    made = project.deploy()
    project.fails_with(cut_at="Services.GetService")
    status = mltool.deploy.status()
    assert status["state"] == "in service"
    assert "does not answer" in status["problem"]
    assert status["url"] == made.url
    with pytest.raises(RemoteError, match="does not answer"):
        mltool.deploy.stop("linear")
    project.works_again()
    assert mltool.deploy.status()["state"] == "answers"


# Others ---------------------------------------------------------------------------------------------------------------


class Colleague:
    """Somebody else with a project of their own, who deploys while we are in the middle of it."""

    def __init__(self, project: Project, folder: Path, moment: str) -> None:
        folder.mkdir()
        self._store, self._moment = Store(folder / ".mltool"), moment
        self._model = linear_model(self._store, seed=9)
        self._job = resolve(GcpJob, "gcp", project.place)
        self._is_done = False
        self.revision = ""

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Progress) and event.task.startswith(self._moment) and not self._is_done:
            self._is_done = True
            self.revision = deploy_gcp(self._model, self._job, self._store).revision


@pytest.mark.parametrize("moment", ["ask ", "change the service"])
def test_of_two_who_deploy_at_once_the_second_is_told_and_loses_nothing(
    project: Project, tmp_path: Path, moment: str
) -> None:
    project.deploy()
    colleague = Colleague(project, tmp_path / "colleague", moment)
    with events.subscribed(colleague):
        error = refusal(project, "linear@2")
    assert error.exit_code == 5
    assert "at the same time" in error.message
    assert project.traffic() == {colleague.revision: 100}
    assert mltool.deploy.status()["state"] == "another revision answers"
    again = project.deploy("linear@2")
    assert project.traffic() == {again.revision: 100}
    assert project.num_builds == 3


def test_of_two_who_deploy_for_the_first_time_both_revisions_are_there(project: Project, tmp_path: Path) -> None:
    colleague = Colleague(project, tmp_path / "colleague", "build the image")
    with events.subscribed(colleague):
        made = project.deploy("linear@1")
    # The service was there by the time that it was needed: it was changed, not made a second time.
    assert project.traffic() == {made.revision: 100}
    assert {one.name for one in run.revisions_of(project.cloud, "linear")} == {made.revision, colleague.revision}
