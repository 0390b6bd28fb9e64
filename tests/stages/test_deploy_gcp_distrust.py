"""What merely answers is not believed, and what does not answer is not judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gcp_testing import Project, gcp_project
from google.cloud.storage import Blob
from google.cloud.storage.exceptions import DataCorruption

import mltool
from mltool.core.errors import RemoteError
from mltool.integrations.google import storage
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.standins.cloud import StandIns
from mltool.stages.deploy.gcp import rollout

pytestmark = pytest.mark.xdist_group("gcp")


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[StandIns]:
    with StandIns() as running:
        yield running


@pytest.fixture
def project(stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with gcp_project(stand_ins, tmp_path, monkeypatch) as made:
        yield made


def refusal(project: Project, ref: str = "linear@1") -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        project.deploy(ref)
    return caught.value


def test_a_bucket_of_the_same_name_that_is_another_projects_is_not_used(project: Project) -> None:
    """Whoever reads or writes it could take the model, or put another program there to be built."""
    Cloud("squatter", "europe-west1", project.stand_ins.grpc_endpoint).storage.create_bucket(
        f"{project.id}-mltool-build"
    )
    error = refusal(project)
    assert (
        error.message
        == f"the bucket `{project.id}-mltool-build` belongs to somebody else than the project `{project.id}`"
    )
    assert error.hint == "choose another name with `bucket=`"
    with pytest.raises(RemoteError, match="belongs to somebody else"):
        storage.make_bucket(project.cloud, f"{project.id}-mltool-build")
    assert "Objects.Insert" not in project.calls
    assert project.deploy("linear@1", f"bucket={project.id}-ours").traffic


def test_a_revision_that_cannot_be_asked_is_asked_by_the_next_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.deploy()

    def late(*_: object) -> None:
        raise TimeoutError("timed out")

    with monkeypatch.context() as patch:
        patch.setattr(rollout, "compared_answers", late)
        error = refusal(project, "linear@2")
    assert error.exit_code == 5
    assert error.message.endswith("could not be asked, so it gets no traffic yet: timed out")
    assert project.traffic() == {first.revision: 100}
    assert mltool.deploy.status()["unfinished"] == 2
    again = project.deploy("linear@2")
    assert (again.version, again.traffic) == (2, {again.revision: 100})


def test_an_upload_that_arrives_damaged_is_tried_by_the_next_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise DataCorruption(None, "Checksum mismatch while uploading")

    with monkeypatch.context() as patch:
        patch.setattr(Blob, "upload_from_filename", damaged)
        error = refusal(project)
    assert error.exit_code == 5
    assert error.message.endswith("arrived damaged: its digest is another")
    assert project.deploy().traffic
