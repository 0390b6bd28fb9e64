from __future__ import annotations

from dataclasses import dataclass, field

from mltool.core.config.fields import setting
from mltool.integrations.engines import ENGINES
from mltool.serving.config import ServeConfig


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GcpConfig:
    project: str | None = setting(None, known_as=("project_id",))
    """Google Cloud project; by default that of GOOGLE_CLOUD_PROJECT or of the credentials."""

    region: str | None = setting(None, known_as=("location",))
    """Such as `europe-west1`; by default GOOGLE_CLOUD_REGION. There is no other: it decides cost and where data is."""

    service: str | None = None
    """Name of the deployment and of the Cloud Run service; by default the model's."""

    repository: str = "mltool"
    """Repository of Artifact Registry that images are kept in; made if it is not there."""

    bucket: str | None = None
    """Bucket that is built from; `PROJECT-mltool-build` by default, made if it is not there."""

    cpu: float = setting(1.0, minimum=0.08, maximum=8)
    """CPUs of an instance: 1, 2, 4, 6 or 8, or less than 1; they are billed while it answers."""

    memory_gib: float = setting(1.0, minimum=0.125, maximum=32, known_as=("memory",))
    """Memory of an instance, in GiB; the most that a number of CPUs may have is checked."""

    concurrency: int = setting(8, minimum=1, maximum=1000)
    """Requests that an instance is sent at the same time, before another one is started."""

    min_instances: int = setting(0, minimum=0, maximum=1000)
    """Instances that always run, and always cost; with 0, the first request after a rest waits for one."""

    max_instances: int = setting(3, minimum=1, maximum=1000)
    """Instances that may run at the same time, which is the most that it can cost."""

    timeout_s: int = setting(60, minimum=1, maximum=3600, known_as=("timeout",))
    """How long a request may take."""

    traffic_percent: int = setting(100, minimum=1, maximum=100, known_as=("canary", "percent"))
    """Share of the requests that the model gets; what answered before keeps the rest. Never taken over from before."""

    public: bool = setting(False, known_as=("allow_unauthenticated",))
    """Let everybody ask, without a token."""

    service_account: str | None = None
    """E-mail of the account that instances run as; by default the project's own for Compute Engine."""

    build_service_account: str | None = None
    """E-mail of the account that the image is built as; by default what Cloud Build takes."""

    build_timeout_s: int = setting(1200, minimum=60, maximum=86400)
    """How long the build may take."""

    base_image: str | None = None
    """Image with Python to start from; by default the slim one of the Python that runs this."""

    emulator: str | None = None
    """`HOST:PORT` of the stand-ins of `mltool gcp emulate`; nothing costs, and no credentials are needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GcpJob:
    """All that `mltool deploy gcp REF` reads; what is not given stays as it was in the version before."""

    gcp: GcpConfig = field(default_factory=GcpConfig)
