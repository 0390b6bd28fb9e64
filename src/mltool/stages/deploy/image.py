"""The build context of a model: a Dockerfile, and all that it copies and nothing else.

Layers are ordered by how seldom they change: libraries, mltool, the model. The libraries are those that the server
imports, without what they would bring along, in the versions that are installed here: the model was checked with them.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
import uuid
from pathlib import Path

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.writing import write_text
from mltool.core.errors import ArtifactError, ConfigError, MltoolError
from mltool.core.version import version
from mltool.datasets.schema import schema_of
from mltool.runtimes.config import GRAPH
from mltool.runtimes.runner import DEFAULT_BACKEND
from mltool.stages.deploy.config import DockerConfig

PORT = 8000
"""That the server listens on inside the container."""
SERVER_LIBRARIES = ("click", "filelock", "httptools", "msgspec", "numpy", "orjson", "uvicorn", "uvloop")
"""What `mltool.stages.serve` imports for every model; a test runs it with these alone."""
RUNTIME_LIBRARIES = {"onnxruntime": ("onnxruntime",), "openvino": ("openvino",)}
PICTURE_LIBRARIES = ("pillow", "simplejpeg")
USER = 10001
"""A number, since some platforms refuse an image whose user they cannot tell from root."""
_MARK = "# Written by `mltool deploy docker`"
_PACKAGE = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "embedded")
_TAG = re.compile(r"([\w.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?", re.ASCII)

_IGNORED = "*\n!requirements.txt\n!mltool\n!model\n"
_DOCKERFILE = """\
{mark} for {label}

FROM {base_image}

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/mltool HOME=/home/serve

# Only what the server imports, in the versions that the model was checked with.
COPY requirements.txt /opt/requirements.txt
RUN pip install --no-cache-dir --no-compile --no-deps --progress-bar=off --root-user-action=ignore \\
    --requirement /opt/requirements.txt

# What is imported at the start is compiled once, here: the server may not write beside it.
COPY mltool /opt/mltool
RUN PYTHONDONTWRITEBYTECODE='' python -c "import {imports}" \\
    && install --directory --owner={user} --group={user} /home/serve

WORKDIR /home/serve
USER {user}
EXPOSE {port}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "{healthy}"]

COPY model /model
LABEL org.opencontainers.image.title="{name}" org.opencontainers.image.version="{version}" mltool.digest="{digest}"
CMD ["python", "-m", "mltool.stages.serve", "/model", "host=0.0.0.0", "port={port}", "served_model_name={served}"]
"""
_HEALTHY = (
    "from http.client import HTTPConnection as C; c = C('127.0.0.1', {port}, timeout=4); "
    "c.request('GET', '/ready'); raise SystemExit(c.getresponse().status != 200)"
)


def write_context(model: Artifact, config: DockerConfig, folder: Path) -> None:
    """Write everything that building needs into `folder`, which must be empty or not there.

    Raises:
        ArtifactError: The model has no graph.
        ConfigError: There is no image for the runtime that it was compiled for.
    """
    requirements = requirements_of(model)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(_PACKAGE, folder / "mltool" / "mltool", ignore=_LEFT_OUT)
    # So that the server knows its version: without being installed, mltool has none.
    facts = folder / "mltool" / f"mltool-{version()}.dist-info"
    facts.mkdir()
    write_text(facts / "METADATA", f"Metadata-Version: 2.1\nName: mltool\nVersion: {version()}\n")
    for name in model.manifest.files:
        target = folder / "model" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (model.path / name).exists():  # a report that is gone is no part of the model
            shutil.copyfile(model.path / name, target)
    shutil.copyfile(model.path / "artifact.json", folder / "model" / "artifact.json")
    write_text(folder / "requirements.txt", "".join(f"{line}\n" for line in requirements))
    write_text(folder / ".dockerignore", _IGNORED)
    write_text(folder / "Dockerfile", dockerfile(model, config))
    for path in folder.rglob("*"):  # the server is another user than whoever writes this, whatever their umask
        path.chmod(0o755 if path.is_dir() else 0o644)


def replace_context(model: Artifact, config: DockerConfig, folder: Path) -> None:
    """Write the context into a folder that the user named; one of ours that stands there is replaced as a whole.

    Raises:
        ConfigError: The folder holds something else.
        MltoolError: It cannot be written.
    """
    given, folder = folder, folder.resolve()
    if folder.exists() and not _is_ours(folder):
        raise ConfigError(
            f"`deploy.context_folder={given}` holds something else than a build context of mltool",
            hint="choose a folder that is empty or not there",
        )
    staged, before = (folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp") for _ in range(2))
    try:
        write_context(model, config, staged)
        if folder.exists():
            folder.rename(before)
        staged.rename(folder)
    except OSError as error:
        raise MltoolError(f"`{given}` cannot be written: {error.strerror or error}") from error
    finally:
        for rest in (staged, before):
            shutil.rmtree(rest, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    known = folder / "Dockerfile"
    if known.is_file():
        return known.read_text(encoding="utf-8", errors="replace").startswith(_MARK)
    return folder.is_dir() and not any(folder.iterdir())


def dockerfile(model: Artifact, config: DockerConfig) -> str:
    """The text of the Dockerfile.

    Raises:
        ConfigError: `base_image` cannot be one.
    """
    name, number = served_name(model)
    base_image = config.base_image or f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
    if not re.fullmatch(r"[\w./:@-]+", base_image, re.ASCII):
        raise ConfigError(f"`base_image={base_image}` cannot name an image")
    imports = ", ".join(("mltool.stages.serve.__main__", "mltool.serving.worker", *_modules(model)))
    return _DOCKERFILE.format(
        mark=_MARK,
        label=model.label,
        base_image=base_image,
        imports=imports,
        user=USER,
        port=PORT,
        healthy=_HEALTHY.format(port=PORT),
        name=name,
        version=number,
        served=f"{name}@{number}",
        digest=model.digest,
    )


def requirements_of(model: Artifact) -> tuple[str, ...]:
    """The libraries that serving a model takes, pinned to what is installed here.

    Raises:
        ArtifactError: The model has no graph.
        ConfigError: There is no image for the runtime that it was compiled for.
    """
    if not (model.path / GRAPH).is_file():
        raise ArtifactError(f"`{model.label}` has no graph, so no image can run it: its export failed")
    return tuple(sorted(_pinned(name) for name in (*SERVER_LIBRARIES, *_runtime(model), *_pictures(model))))


def tag_of(model: Artifact, config: DockerConfig) -> str:
    """The name of the image.

    Raises:
        ConfigError: No engine would take it.
    """
    name, number = served_name(model)
    tag = config.tag or f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}:{number}"
    if not _TAG.fullmatch(tag):
        raise ConfigError(f"`deploy.tag={tag}` cannot name an image", hint="write it as `name:3` or `host/name:3`")
    return tag


def served_name(model: Artifact) -> tuple[str, str]:
    """What clients know the model as: its name and version, or the start of its digest."""
    name, _, number = model.label.partition("@")
    return name, number or "1"


def _runtime(model: Artifact) -> tuple[str, ...]:
    backend = str(model.config.get("run", {}).get("backend", DEFAULT_BACKEND))
    if backend not in RUNTIME_LIBRARIES:
        raise ConfigError(
            f"`{model.label}` runs in {backend}, and there is no image for that",
            hint=f"images run {' or '.join(RUNTIME_LIBRARIES)}",
        )
    return RUNTIME_LIBRARIES[backend]


def _pictures(model: Artifact) -> tuple[str, ...]:
    return PICTURE_LIBRARIES if schema_of(model).image is not None else ()


def _modules(model: Artifact) -> tuple[str, ...]:
    """What the server imports only once it runs."""
    pictures = ("PIL.Image", "simplejpeg") if _pictures(model) else ()
    return ("mltool.serving.app", "mltool.serving.server", *_runtime(model), *pictures)


def _pinned(name: str) -> str:
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:  # uvloop has no build for Windows
        return name
