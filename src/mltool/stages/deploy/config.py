from __future__ import annotations

from dataclasses import dataclass, field

from mltool.core.config.fields import setting
from mltool.serving.config import ServeConfig

ENGINES = ("docker", "podman", "buildah")
"""In the order in which `auto` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerConfig:
    engine: str = setting("auto", choices=("auto", *ENGINES))
    """What builds and runs the image; `auto` is the first of docker, podman and buildah that works here."""

    tag: str | None = None
    """Name of the image, such as `registry.example.com/digits:3`; by default the model's name and version."""

    base_image: str | None = None
    """Image with Python to start from; by default the slim one of the Python that runs this."""

    host: str = "127.0.0.1"
    """Address on this machine that the container is tried on, and answers on if it is kept."""

    port: int = setting(0, minimum=0, maximum=65535)
    """Port on this machine for the same; 0 takes a free one."""

    keep_running: bool = False
    """Leave the container that answered rightly running."""

    start_timeout_s: float = setting(60.0, above=0)
    """How long the container may take until it is ready."""

    context_folder: str | None = setting(None, is_path=True)
    """Folder to write the Dockerfile and all that it needs into, instead of building."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerJob:
    """All that `mltool deploy docker REF` reads."""

    deploy: DockerConfig = field(default_factory=DockerConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalJob:
    """All that `mltool deploy local REF` reads; what is not given stays as it was in the version before."""

    serve: ServeConfig = field(default_factory=ServeConfig)
