"""Images that are built and run by a container engine: what it is told, and really, where buildah is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions

from buildah_testing import BASE, LOCK, why_not
from mltool.artifacts.store import Store
from mltool.integrations.engines import Buildah, DockerLike
from mltool.integrations.google.standins.cloud import StandIns
from mltool.stages.deploy import image
from mltool.stages.deploy.asking import answers_as_recorded
from mltool.stages.deploy.config import DockerConfig
from small_models import linear_model
from standins_testing import ADDRESS, FILES, Clients, ask, template

# Does what docker would with the images of these tests, and notes what it is told.
DOCKER = """#!{python}
import json, os, shutil, sys
from pathlib import Path

home = Path(__file__).parent
with (home / "told.jsonl").open("a") as told:
    told.write(json.dumps(sys.argv[1:]) + "\\n")
command, *words = sys.argv[1:]
options = dict(zip(words, words[1:]))
if command == "build":
    if "RUN false" in Path(options["--file"]).read_text():
        sys.exit("The command '/bin/sh -c false' returned a non-zero code: 1")
    shutil.copytree(words[-1], home / "images" / options["--tag"].replace("/", "_"))
elif command == "run":
    host, port, inside = options["--publish"].split(":")
    variables = dict(words[n + 1].split("=", 1) for n, word in enumerate(words) if word == "--env")
    assert variables["PORT"] == inside
    server = home / "images" / words[-1].replace("/", "_") / "server.py"
    os.execve(sys.executable, [sys.executable, "-S", str(server)], {{**os.environ, **variables, "PORT": port}})
elif command == "container":
    sys.exit(1)
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an engine that is first on the path."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER.format(python=sys.executable))
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


@pytest.fixture
def in_docker(docker: Path) -> Iterator[Clients]:
    with StandIns(engine=DockerLike("docker")) as stand_ins:
        clients = Clients(stand_ins)
        clients.make_repository()
        yield clients
        clients.close()


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a script that can be run")


def told(docker: Path) -> list[list[str]]:
    return [json.loads(line) for line in (docker / "told.jsonl").read_text().splitlines()]


def test_an_engine_builds_and_runs_what_is_deployed(in_docker: Clients, docker: Path) -> None:
    found = in_docker.build(f"{ADDRESS}/iris:1")
    service = in_docker.create("iris", template(found, "iris-v1", WORD="hello"), invoker_iam_disabled=True)
    assert ask(service.uri) == (200, b"hello")
    assert ask(service.uri, "/K_REVISION") == (200, b"iris-v1")
    build, run = told(docker)
    tag = f"localhost/mltool-gcp:{found.partition('@sha256:')[2][:12]}"
    assert build[:1] == ["build"]
    assert build[1:5] == ["--file", f"{build[-1]}/Dockerfile", "--tag", tag]
    assert run[:3] == ["run", "--rm", "--name"]
    assert run[3].startswith("mltool-gcp-iris-v1-")
    assert run[-1] == tag
    assert run[run.index("--publish") + 1].startswith("127.0.0.1:")
    in_docker.services.delete_service(name=service.name).result(timeout=90)
    assert told(docker)[-1][:2] == ["container", "inspect"], "what is left of it is looked for"


def test_a_step_that_fails_is_what_the_build_fails_with(in_docker: Clients) -> None:
    files = {**FILES, "Dockerfile": FILES["Dockerfile"] + "RUN false\n"}
    operation = in_docker.begin_build(f"{ADDRESS}/iris:1", files)
    with pytest.raises(exceptions.GoogleAPICallError):
        operation.result(timeout=90)
    build = in_docker.builds.get_build(request={"name": operation.metadata.build.name})
    assert "docker could not build the image" in build.failure_info.detail
    assert "returned a non-zero code: 1" in build.failure_info.detail


def test_an_engine_that_cannot_run_an_image_fails_the_revision(in_docker: Clients, docker: Path) -> None:
    found = in_docker.build(f"{ADDRESS}/iris:1")
    (docker / "docker").write_text("#!/bin/sh\necho 'no space left on device' >&2; exit 125\n")
    with pytest.raises(exceptions.FailedPrecondition, match="The container exited with code 125"):
        in_docker.create("iris", template(found, "iris-v1"))
    assert "no space left" in (in_docker.stand_ins.folder / "revisions/iris-v1/log.txt").read_text()
    own = template(found, "own-v1")
    own.containers[0].command = ["sleep", "1"]
    with pytest.raises(exceptions.FailedPrecondition, match="only the command of the image can be run"):
        in_docker.create("own", own)


@pytest.mark.xdist_group("buildah")
@pytest.mark.timeout(900)
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_a_model_is_really_built_and_really_run(store: Store, tmp_path: Path) -> None:
    model, context = linear_model(store), tmp_path / "context"
    image.write_context(model, DockerConfig(base_image=BASE), context)
    files = {path.relative_to(context).as_posix(): path.read_bytes() for path in context.rglob("*") if path.is_file()}
    with LOCK, StandIns(engine=Buildah()) as stand_ins:
        clients = Clients(stand_ins)
        clients.make_repository()
        found = clients.build(f"{ADDRESS}/linear:1", files, patience_s=600)
        service = clients.create("linear", template(found), invoker_iam_disabled=True)
        assert answers_as_recorded(service.uri, "linear", model).status == "passed"
        clients.close()
