"""Builds: what is uploaded becomes an image, or the build says why not."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.devtools import cloudbuild_v1

from mltool.integrations.google.standins.faults import Faults
from standins_testing import ADDRESS, BUCKET, DOCKERFILE, FILES, PARENT, PATIENCE_S, PROJECT, Clients, template

Status = cloudbuild_v1.Build.Status


def failure(clients: Clients, files: dict[str, str] | bytes, image: str = f"{ADDRESS}/a:1", **changes: Any) -> str:
    """What a build fails with, as it says itself."""
    operation = clients.begin_build(image, files, **changes)
    with pytest.raises(exceptions.GoogleAPICallError, match="Build failed; check build logs for details"):
        operation.result(timeout=PATIENCE_S)
    build = clients.builds.get_build(request={"name": operation.metadata.build.name})
    assert build.status == Status.FAILURE
    assert f"ERROR: {build.failure_info.detail}" in log_of(build)
    assert operation.metadata.build.status == Status.FAILURE
    return build.failure_info.detail


def log_of(build: cloudbuild_v1.Build) -> str:
    return Path(build.log_url.removeprefix("file://")).read_text()


def test_the_same_content_is_the_same_image_and_other_content_is_another(clients: Clients) -> None:
    one = clients.build(f"{ADDRESS}/one:1")
    again = clients.build(f"{ADDRESS}/one:2")
    other = clients.build(f"{ADDRESS}/one:3", {**FILES, "more.txt": "a"})
    assert one == again
    assert one != other
    tag = clients.registry.get_tag(name=f"{PARENT}/repositories/mltool/packages/one/tags/3")
    assert tag.version.endswith(f"/packages/one/versions/{other.partition('@')[2]}")
    with pytest.raises(exceptions.NotFound):
        clients.registry.get_tag(name=f"{PARENT}/repositories/mltool/packages/one/tags/4")


def test_a_build_can_be_watched(clients: Clients) -> None:
    clients.stand_ins.faults = Faults(operation_delay_s=1.5)
    operation = clients.begin_build(f"{ADDRESS}/watched:1", tags=["mine"])
    begun = operation.metadata.build
    assert begun.status == Status.QUEUED
    assert begun.log_url.startswith("file://")
    listed = clients.builds.list_builds(
        request={"parent": PARENT, "project_id": PROJECT, "filter": 'tags="mine" AND (status="QUEUED")'}
    )
    assert [one.id for one in listed] == [begun.id]
    built = operation.result(timeout=PATIENCE_S)
    assert built.status == Status.SUCCESS
    assert built.results.images[0].name == f"{ADDRESS}/watched:1"
    assert clients.builds.get_build(request={"name": built.name}) == built
    listed = clients.builds.list_builds(
        request={"parent": PARENT, "project_id": PROJECT, "filter": 'tags="mine" AND status="QUEUED"'}
    )
    assert not list(listed)
    assert "DONE" in log_of(built)
    with pytest.raises(exceptions.InvalidArgument, match="this stand-in knows tags and status"):
        clients.builds.list_builds(request={"parent": PARENT, "project_id": PROJECT, "filter": "images:x"})


def test_a_build_that_is_in_no_region_has_an_operation_of_its_own_form(clients: Clients) -> None:
    regional = clients.begin_build(f"{ADDRESS}/g:1")
    build = cloudbuild_v1.Build(
        source=regional.metadata.build.source, steps=regional.metadata.build.steps, images=[f"{ADDRESS}/g:1"]
    )
    operation = clients.builds.create_build(project_id=PROJECT, build=build)
    assert operation.operation.name.startswith(f"operations/build/{PROJECT}/")
    assert operation.result(timeout=PATIENCE_S).status == Status.SUCCESS
    assert clients.builds.get_build(project_id=PROJECT, id=operation.metadata.build.id).status == Status.SUCCESS


def test_a_build_can_be_cancelled(clients: Clients) -> None:
    clients.stand_ins.faults = Faults(operation_delay_s=1.5)
    operation = clients.begin_build(f"{ADDRESS}/cancelled:1")
    build = operation.metadata.build
    cancelled = clients.builds.cancel_build(request={"name": build.name, "project_id": PROJECT, "id": build.id})
    assert cancelled.status == Status.CANCELLED
    with pytest.raises(exceptions.Cancelled):
        operation.result(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"server.py": ""}, "unable to evaluate symlinks in Dockerfile path: lstat /workspace/Dockerfile"),
        ({"Dockerfile": ""}, "cannot be empty"),
        ({"Dockerfile": "COPY a /a\n"}, "must start with FROM"),
        (
            {"Dockerfile": "FROM x\nCOPY missing.txt /\n"},
            "COPY failed: file not found in build context: stat missing.txt",
        ),
        ({"Dockerfile": "FROM x\nCOPY ../up /\n"}, "COPY failed"),
        (b"no archive", "error un-tarring source"),
    ],
)
def test_a_source_that_cannot_be_built_says_why(clients: Clients, files: dict[str, str] | bytes, said: str) -> None:
    assert said in failure(clients, files)


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", "a/../../outside.txt"])  # noqa: S108
def test_an_archive_cannot_write_outside_of_its_folder(clients: Clients, name: str) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path, text in (("Dockerfile", DOCKERFILE), ("server.py", ""), (name, "x")):
            member = tarfile.TarInfo(path)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    if name.startswith("/"):
        clients.build(f"{ADDRESS}/a:1", content.getvalue())  # tar strips the slash, as it always does
    else:
        assert "error un-tarring source" in failure(clients, content.getvalue())
    assert not list(clients.stand_ins.folder.parent.glob("outside.txt"))
    assert not list(clients.stand_ins.folder.glob("outside.txt"))


def test_a_link_out_of_the_archive_is_refused(clients: Clients) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo("server.py")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(member)
    assert "error un-tarring source" in failure(clients, content.getvalue())


def test_an_object_that_is_not_there_or_was_replaced_cannot_be_built(clients: Clients) -> None:
    absent = cloudbuild_v1.StorageSource(bucket=BUCKET, object_="absent.tgz")
    source = cloudbuild_v1.Source(storage_source=absent)
    assert failure(clients, FILES, source=source) == (
        f"could not resolve source: object not found: gs://{BUCKET}/absent.tgz"
    )
    clients.upload("twice.tgz", FILES)
    first = clients.storage.bucket(BUCKET).get_blob("twice.tgz")
    other = cloudbuild_v1.StorageSource(bucket=BUCKET, object_="twice.tgz", generation=int(first.generation) + 1)
    assert "object not found" in failure(clients, FILES, source=cloudbuild_v1.Source(storage_source=other))
    same = cloudbuild_v1.StorageSource(bucket=BUCKET, object_="twice.tgz", generation=int(first.generation))
    operation = clients.begin_build(f"{ADDRESS}/twice:1", source=cloudbuild_v1.Source(storage_source=same))
    assert operation.result(timeout=PATIENCE_S).status == Status.SUCCESS


def test_an_image_needs_its_repository(clients: Clients) -> None:
    elsewhere = ADDRESS.replace("/mltool", "/other")
    assert 'name unknown: Repository "other" not found' in failure(clients, FILES, f"{elsewhere}/a:1")
    assert "invalid reference format" in failure(clients, FILES, f"{ADDRESS}/A:1")


def test_an_image_that_no_step_has_built_cannot_be_pushed(clients: Clients) -> None:
    said = failure(clients, FILES, images=[f"{ADDRESS}/a:1", f"{ADDRESS}/b:1"])
    assert said.startswith("failed to find one or more images after execution of build steps")


def docker(*arguments: str, **values: str) -> cloudbuild_v1.BuildStep:
    return cloudbuild_v1.BuildStep(name="gcr.io/cloud-builders/docker", args=arguments, **values)


def test_a_dockerfile_may_have_another_name_and_place(clients: Clients, image: str) -> None:
    files = {"sub/My.Dockerfile": DOCKERFILE, "sub/server.py": FILES["server.py"]}
    step = docker("build", f"--tag={ADDRESS}/sub:1", "--file", "My.Dockerfile", "sub")
    built = clients.begin_build(f"{ADDRESS}/sub:1", files, steps=[step]).result(timeout=PATIENCE_S)
    found = f"{ADDRESS}/sub@{built.results.images[0].digest}"
    assert clients.create("other-dockerfile", template(found)).latest_ready_revision
    for arguments in (("build",), ("build", "missing"), ("build", ".."), ("push", "a"), ()):
        assert "step exited with non-zero status: 1" in failure(clients, FILES, steps=[docker(*arguments)])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"steps": []}, "must have at least one build step"),
        ({"steps": [cloudbuild_v1.BuildStep(name="bash")]}, "this stand-in has no builder `bash`"),
        ({"steps": [cloudbuild_v1.BuildStep(args=["build"])]}, r"steps\[0\]\.name: Required field not provided"),
        ({"source": cloudbuild_v1.Source()}, "with a bucket and an object"),
        ({"timeout": {"seconds": 86401}}, "must be at most 24h"),
        (
            {"service_account": "projects/p1/serviceAccounts/a@b.c", "options": cloudbuild_v1.BuildOptions()},
            "if 'build.service_account' is specified, the build must either",
        ),
    ],
)
def test_a_build_that_cannot_begin_is_refused(clients: Clients, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=problem):
        clients.begin_build(f"{ADDRESS}/a:1", **changes)


def test_repositories_have_names_that_can_be_and_are_there_once(clients: Clients) -> None:
    clients.make_repository("once")
    assert clients.registry.get_repository(name=f"{PARENT}/repositories/once").format_.name == "DOCKER"
    with pytest.raises(exceptions.AlreadyExists):
        clients.make_repository("once")
    with pytest.raises(exceptions.InvalidArgument, match="repository_id `Not-so` must match"):
        clients.make_repository("Not-so")
    with pytest.raises(exceptions.InvalidArgument, match="format must be given"):
        clients.registry.create_repository(parent=PARENT, repository_id="no-format", repository={})
    made = clients.build(f"{ADDRESS.replace('/mltool', '/once')}/a:1")
    clients.registry.delete_repository(name=f"{PARENT}/repositories/once").result(timeout=PATIENCE_S)
    with pytest.raises(exceptions.NotFound):
        clients.registry.get_repository(name=f"{PARENT}/repositories/once")
    for number, image in enumerate((made, f"{ADDRESS.replace('/mltool', '/once')}/a:1")):
        with pytest.raises(exceptions.NotFound, match=r"Image '.*' not found"):
            clients.create(f"of-a-deleted-repository-{number}", template(image))
