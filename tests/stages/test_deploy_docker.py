"""Images that are really built and really run, by buildah, which needs no daemon.

They need buildah and the base image, and are skipped where one is missing: `buildah pull python:3.11-slim`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from buildah_testing import BASE, LOCK, buildah, why_not
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.core.errors import CheckError, ConfigError, MltoolError
from mltool.integrations.engines import Buildah
from mltool.runtimes.gate import admit
from mltool.stages.deploy.config import DockerConfig, DockerJob
from mltool.stages.deploy.docker import deploy_docker
from small_models import forged_model, linear_model, picture_model
from user_project import said

__all__ = ["said"]

NAME = f"mltool-test-{os.getpid()}"

pytestmark = [
    pytest.mark.xdist_group("buildah"),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module", autouse=True)
def _removed() -> Iterator[None]:
    yield
    with LOCK:
        for image in json.loads(buildah("images", "--json")):
            for name in image.get("names") or []:
                if f"/{NAME}" in name:
                    buildah("rmi", "--force", name)


@pytest.fixture(autouse=True)
def _one_at_a_time() -> Iterator[None]:
    """Containers and layers are the machine's: another worker, or another run, would take them away."""
    with LOCK:
        yield


@pytest.fixture
def tag() -> str:
    return f"{NAME}:{uuid.uuid4().hex[:8]}"


@pytest.fixture
def model(store: Store) -> Artifact:
    return linear_model(store)


def job(tag: str, **values: Any) -> DockerJob:
    return DockerJob(deploy=DockerConfig(engine="buildah", tag=tag, **values))


def config_of(tag: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", tag))
    return found


def in_container(tag: str, *command: str) -> subprocess.CompletedProcess[str]:
    container = buildah("from", "--pull-never", tag)
    try:
        return subprocess.run(["buildah", "run", container, "--", *command], capture_output=True, text=True)
    finally:
        buildah("rm", container)


def base_with(kind: str, *lines: str) -> str:
    """A base image with further instructions, for what can go wrong inside."""
    Path("base").mkdir(exist_ok=True)
    Path("base/Dockerfile").write_text("\n".join([f"FROM {BASE}", *lines]))
    buildah("build", "--quiet", "--layers", "--tag", f"localhost/{NAME}-{kind}:1", "base")
    return f"localhost/{NAME}-{kind}:1"


def container_of(model: Artifact) -> str:
    return f"mltool-trial-{model.digest[:12]}"


def containers() -> list[str]:
    return [one["containername"] for one in json.loads(buildah("containers", "--json") or "null") or []]


def test_an_image_is_done_once_it_has_answered(model: Artifact, store: Store, tag: str) -> None:
    made = deploy_docker(model, job(tag), store)
    assert made.check is not None
    assert made.check.value == pytest.approx(0.0, abs=1e-6)
    assert made.size_mib is not None
    assert made.size_mib > 50
    assert json.loads(json.dumps(made.to_json()))["tag"] == tag
    assert container_of(model) not in containers()
    (proof,) = store.attestations(model)
    assert proof.config["claim"] == "image"
    assert proof.manifest.facts["tag"] == tag
    assert [check.id for check in proof.checks] == ["served_error"]
    assert {"image_size_mib", "image_start_s"} == set(proof.metrics)
    assert admit(model, store) == ()


def test_an_image_holds_what_serving_takes_and_no_more(model: Artifact, store: Store, tag: str) -> None:
    deploy_docker(model, job(tag), store)
    config = config_of(tag)["OCIv1"]["config"]
    assert config["User"] == "10001"
    assert set(config["ExposedPorts"]) == {"8000"} or set(config["ExposedPorts"]) == {"8000/tcp"}
    assert config["StopSignal"] == "SIGTERM"
    assert config["Labels"]["mltool.digest"] == model.digest
    health = config_of(tag)["Docker"]["config"]["Healthcheck"]
    assert health["Test"][:2] == ["CMD", "python"]
    assert in_container(tag, *health["Test"][1:]).returncode == 1, "nobody listens"
    code = (
        "import importlib.util, os, sys; assert not importlib.util.find_spec('torch'); "
        "assert os.getuid() == 10001; open(os.path.expanduser('~/may'), 'w'); open('/opt/mltool/may_not', 'w')"
    )
    ended = in_container(tag, "python", "-c", code)
    assert "PermissionError: [Errno 13] Permission denied: '/opt/mltool/may_not'" in ended.stderr
    compiled = in_container(tag, "sh", "-c", "ls /opt/mltool/mltool/stages/serve/__pycache__ | wc -l")
    assert int(compiled.stdout) >= 3


def test_a_picture_reaches_the_model_in_an_image(store: Store, tag: str) -> None:
    model = picture_model(store)
    made = deploy_docker(model, job(tag), store)
    assert made.check is not None
    code = "import PIL.Image, simplejpeg; from mltool.datasets.readers import pixels; print('decoded')"
    assert in_container(tag, "python", "-c", code).stdout == "decoded\n"


def test_a_new_model_changes_only_the_last_layer(model: Artifact, store: Store, tag: str) -> None:
    deploy_docker(model, job(tag), store)
    deploy_docker(linear_model(store, seed=5), job(f"{tag}-2"), store)
    first, second = (config_of(one)["OCIv1"]["rootfs"]["diff_ids"] for one in (tag, f"{tag}-2"))
    same = [a == b for a, b in zip(first, second, strict=True)]
    assert same.index(False) >= len(same) - 3  # the model, its label and its command
    assert same.count(True) >= 4


def test_what_a_killed_run_left_is_out_of_the_way(model: Artifact, store: Store, tag: str, said: list[str]) -> None:
    buildah("from", "--name", container_of(model), "scratch")
    deploy_docker(model, job(tag), store)
    assert f"removed the container `{container_of(model)}`, which an earlier run has left" in said
    assert container_of(model) not in containers()


def test_the_server_of_a_killed_run_is_ended_with_its_container(model: Artifact, store: Store, tag: str) -> None:
    deploy_docker(model, job(tag), store)
    killed = Buildah()
    killed.start(container_of(model), tag, "127.0.0.1", 0, 8000)
    while "answers on" not in killed.last_lines(container_of(model)):
        assert killed.is_running(container_of(model))
        time.sleep(0.05)
    Buildah().remove(container_of(model))
    assert container_of(model) not in containers()
    while killed.is_running(container_of(model)):
        time.sleep(0.05)
    killed.remove(container_of(model))


def test_an_image_that_does_not_start_shows_its_last_words(model: Artifact, store: Store, tag: str) -> None:
    base = base_with("wrong", "ENV MLTOOL_NONSENSE=1")
    with pytest.raises(
        MltoolError, match=r"the image `.*` was built, but does not start:\n(.|\n)*MLTOOL_NONSENSE"
    ) as caught:
        deploy_docker(model, job(tag, base_image=base), store)
    assert caught.value.exit_code == 1
    assert container_of(model) not in containers()
    assert store.attestations(model) == []


def test_an_image_that_takes_too_long_is_ended(model: Artifact, store: Store, tag: str) -> None:
    with pytest.raises(MltoolError, match="was built, but is not ready after 0 s"):
        deploy_docker(model, job(tag, start_timeout_s=1e-6), store)
    assert container_of(model) not in containers()


def test_an_image_that_answers_otherwise_is_not_done(store: Store, tag: str) -> None:
    forged = forged_model(store, linear_model(store))
    with pytest.raises(
        CheckError, match=r"answers otherwise than `forged@1`: they differ by .* is the limit"
    ) as caught:
        deploy_docker(forged, job(tag), store)
    assert caught.value.exit_code == 4
    assert store.attestations(forged) == []
    assert container_of(forged) not in containers()


def test_a_build_that_fails_shows_what_the_engine_said(model: Artifact, store: Store, tag: str) -> None:
    with pytest.raises(MltoolError, match=r"buildah could not build the image:\n(.|\n)*RUN pip install") as caught:
        deploy_docker(model, job(tag, base_image="scratch"), store)
    assert caught.value.exit_code == 1
    assert not list(store.staging.iterdir())


def test_buildah_keeps_no_container(model: Artifact, store: Store, tag: str) -> None:
    with pytest.raises(ConfigError, match="buildah builds images, but keeps no container running"):
        deploy_docker(model, job(tag, keep_running=True), store)


def server_below(process: int) -> int | None:
    """Our server, some processes below `buildah run`, which kills what it runs when it is told to end itself."""
    threads = Path(f"/proc/{process}/task").glob("*/children")  # any thread may have started a process
    for child in [int(number) for thread in threads for number in thread.read_text().split()]:
        program, *arguments = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        if program.endswith("python") and arguments[:2] == ["-m", "mltool.stages.serve"]:
            return child
        if found := server_below(child):
            return found
    return None


def test_the_process_of_an_image_drains_and_ends_when_it_is_told_to(model: Artifact, store: Store, tag: str) -> None:
    deploy_docker(model, job(tag), store)
    container = buildah("from", "--pull-never", tag)
    command = [*config_of(tag)["OCIv1"]["config"]["Cmd"], "host=127.0.0.1", "port=0"]
    with subprocess.Popen(
        ["buildah", "run", "--network", "host", container, "--", *command], stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        said = [run.stderr.readline()]
        server = server_below(run.pid)
        os.kill(server or run.pid, signal.SIGTERM)
        said += run.stderr.readlines()
    assert run.returncode == 0
    assert "`linear@1` answers on http://127.0.0.1:" in said[0]
    assert "every request was answered" in said[-1]
    buildah("rm", container)


def test_two_runs_do_not_take_each_others_container(model: Artifact, store: Store, tag: str) -> None:
    with FileLock(store.root / "images.lock"), pytest.raises(MltoolError, match="another process makes an image just"):
        deploy_docker(model, job(tag), store)
