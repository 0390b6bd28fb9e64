"""A model as a container image, which is done only once a container of it has answered rightly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check, any_failed
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import CheckError, ConfigError, MltoolError
from mltool.integrations.engines import Engine, find_engine
from mltool.runtimes.gate import admit
from mltool.runtimes.robustness import robustness_in_words, tell_robustness
from mltool.serving.listening import listen, url_of
from mltool.stages.deploy import image
from mltool.stages.deploy.asking import answers_as_recorded, in_words, is_ready
from mltool.stages.deploy.config import DockerConfig, DockerJob

CLAIM = "image"
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a model.

    Attributes:
        tag: Its name in the engine; empty if only the context was written.
        container: The container that was kept running, on `url`.
        context_folder: Where the context was written, if that was all.
        check: How far its answers differ from those of the model; None if it was not built.
        accepted: Checks of the model that failed or are missing, and were accepted.
    """

    model: Artifact
    tag: str
    engine: str
    size_mib: float | None
    start_s: float | None
    check: Check | None
    accepted: tuple[Check, ...]
    container: str | None = None
    url: str | None = None
    context_folder: Path | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model.label,
            "model_digest": self.model.digest,
            "tag": self.tag,
            "engine": self.engine,
            "size_mib": self.size_mib,
            "start_s": self.start_s,
            "checks": [self.check.to_json()] if self.check else [],
            "accepted": [check.to_json() for check in self.accepted],
            "container": self.container,
            "url": self.url,
            "context_folder": str(self.context_folder) if self.context_folder else None,
        }


def plan(model: Artifact, job: DockerJob, store: Store, *, accept_failed_checks: bool = False) -> dict[str, Any]:
    """What `deploy_docker` would do, as plain data; nothing is written.

    Raises:
        CheckError, ConfigError: As `deploy_docker`.
        MltoolError: No engine works here.
    """
    config = job.deploy
    accepted = admit(model, store, accept_failed_checks=accept_failed_checks)
    return {
        "model": model.label,
        "model_digest": model.digest,
        "robustness": robustness_in_words(model, store),
        "tag": image.tag_of(model, config),
        "engine": None if config.context_folder else find_engine(config.engine).name,
        "context_folder": config.context_folder,
        "accepted": [check.to_json() for check in accepted],
        "requirements": list(image.requirements_of(model)),
        "dockerfile": image.dockerfile(model, config),
        "config": asdict(config),
    }


def deploy_docker(model: Artifact, job: DockerJob, store: Store, *, accept_failed_checks: bool = False) -> Image:
    """Build an image of a model, start it, and ask it for predictions before it is called done.

    Raises:
        CheckError: The model failed a check or lacks one, or the image answers otherwise than the model did.
        ConfigError: A value does not fit the model, or the engine.
        MltoolError: There is no engine, the port is taken, the build failed, or the image does not start.
    """
    config = job.deploy
    tag = image.tag_of(model, config)
    image.requirements_of(model), image.dockerfile(model, config)  # what is wrong with them is said before work begins
    accepted = admit(model, store, accept_failed_checks=accept_failed_checks)
    tell_robustness(model, store)
    if config.context_folder:
        folder = Path(config.context_folder)
        try:
            image.replace_context(model, config, folder)
        except OSError as error:
            what = error.strerror or "a file cannot be copied; is the disk full?"
            raise MltoolError(f"`{folder}` cannot be written: {what}") from error
        return Image(model, "", "", None, None, None, accepted, context_folder=folder)
    url, port = _address(config)
    engine = find_engine(config.engine)
    with _alone(store):
        container = _container(model, config, engine)
        with store.scratch() as folder:
            image.write_context(model, config, folder / "context")
            engine.build(folder / "context", tag)
        size_mib = engine.size_bytes(tag) / 2**20
        with _ready(engine, container, tag, config, url, port) as start_s:
            check = answers_as_recorded(url, image.served_name(model)[0], model)
            if any_failed([check]):
                raise CheckError(
                    f"the image `{tag}` answers otherwise than `{model.label}`: {in_words(check)}",
                    hint="see what it says with `docker run`, or report it with the versions in its requirements.txt",
                )
    made = Image(model, tag, engine.name, size_mib, start_s, check, accepted)
    if config.keep_running:
        made = replace(made, container=container, url=url)
    store.attest(
        model,
        CLAIM,
        checks=[check],
        metrics={"image_size_mib": size_mib, "image_start_s": start_s},
        facts={"tag": tag, "engine": engine.name, "accepted": [one.to_json() for one in accepted]},
    )
    return made


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Keep a second run from taking the container of the first for one that a killed run has left.

    Raises:
        MltoolError: There is a first one.
    """
    lock = FileLock(store.root / "images.lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout:
        raise MltoolError("another process makes an image just now", hint="wait for it") from None


@contextmanager
def _ready(engine: Engine, container: str, tag: str, config: DockerConfig, url: str, port: int) -> Iterator[float]:
    """A container that is ready, and the seconds it took; it is gone afterwards, unless it is to be kept.

    Raises:
        MltoolError: It does not get ready.
    """
    is_done = False
    try:
        started = time.monotonic()
        with events.track("start the container", None, "s"):
            engine.start(container, tag, config.host, port, image.PORT)
            while not is_ready(url):
                seconds, runs = time.monotonic() - started, engine.is_running(container)
                if not runs or seconds > config.start_timeout_s:
                    what = f"is not ready after {seconds:.0f} s" if runs else "does not start"
                    said = engine.last_lines(container)
                    raise MltoolError(f"the image `{tag}` was built, but {what}:\n{said or 'it wrote nothing'}")
                time.sleep(_POLL_S)
        yield time.monotonic() - started
        is_done = True
    finally:
        if not (is_done and config.keep_running):
            engine.remove(container)


def _container(model: Artifact, config: DockerConfig, engine: Engine) -> str:
    """The name of the container, out of whose way what an earlier run left is taken.

    Raises:
        ConfigError: The engine cannot keep a container.
        MltoolError: The container that is to be kept runs already.
    """
    if config.keep_running and engine.name == "buildah":
        raise ConfigError(
            "buildah builds images, but keeps no container running", hint="use docker or podman, or leave it out"
        )
    name = image.served_name(model)[0]
    container = f"mltool-{name}" if config.keep_running else f"mltool-trial-{model.digest[: digest.SHORT]}"
    if config.keep_running and engine.is_running(container):
        raise MltoolError(
            f"the container `{container}` runs already", hint=f"end it with `{engine.name} rm --force {container}`"
        )
    if engine.exists(container):
        engine.remove(container)
        events.info(f"removed the container `{container}`, which an earlier run has left")
    return container


def _address(config: DockerConfig) -> tuple[str, int]:
    """The URL of the container for a client on this machine, and its port, if that is free.

    Raises:
        ConfigError: There is no such address here.
        MltoolError: The port is taken.
    """
    with closing(listen(config.host, config.port)) as probe:
        return url_of(probe), int(probe.getsockname()[1])
