"""How images are built and run: by a container engine, or by this Python where there is none."""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mltool.core.errors import MltoolError
from mltool.integrations.engines import Engine
from mltool.integrations.google.standins.dockerfile import DockerfileError, Recipe, read_recipe
from mltool.integrations.google.standins.images import Image, digest_of

HOST = "127.0.0.1"
_LOOPBACK = {"host=127.0.0.1", "host=localhost"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A container as Cloud Run describes it.

    Attributes:
        port: That the container says it listens on.
        probe_path: Of the startup probe; None if it only has to take connections.
        patience_s: How long it may take until it is up.
        arguments: In place of the command of the image.
    """

    name: str
    image: Image
    port: int
    environment: Mapping[str, str]
    probe_path: str | None
    patience_s: float
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """What runs a container in the foreground; `container` is its name in an engine, if there is one."""

    words: list[str]
    environment: dict[str, str]
    container: str = ""


class StartError(Exception):
    """A container that does not come up."""


class Runner(Protocol):
    def build(self, context: Path, dockerfile: str) -> None:
        """Raises: DockerfileError: The build stops; with the line that says why."""

    def command(self, wanted: Wanted, home: Path, port: int) -> Command:
        """What runs a container that answers on a port of this machine.

        Raises:
            StartError: It cannot be run.
        """

    def remove(self, container: str) -> None:
        """Take away what is left of a container that has ended."""


class Processes:
    """An image is its build context, and a container a process of this Python.

    Nothing of the Dockerfile is run; what it copies must be there, and its command is followed.
    """

    def build(self, context: Path, dockerfile: str) -> None:
        read_recipe(context, dockerfile)

    def command(self, wanted: Wanted, home: Path, port: int) -> Command:
        recipe = read_recipe(wanted.image.context, wanted.image.dockerfile)
        words = list(wanted.arguments) or recipe.command
        if not words or Path(words[0]).name not in ("python", "python3"):
            raise StartError(f"Without a container engine only `python` can be run, not `{' '.join(words)}`.")
        if _LOOPBACK & set(words):
            raise StartError("The container listens on its own loopback, where nobody reaches it.")
        variables = {
            key: _outside(value, recipe, wanted.port, port)
            for key, value in {**recipe.environment, **wanted.environment}.items()
            if recipe.locate(value) is not None or not value.startswith("/")
        }
        variables.pop("PYTHONDONTWRITEBYTECODE", None)  # the first start compiles what the build would have compiled
        own = {"PATH": os.environ["PATH"], "HOME": str(home), "PORT": str(port)}
        return Command(
            [sys.executable, *(_outside(word, recipe, wanted.port, port) for word in words[1:])], {**variables, **own}
        )

    def remove(self, container: str) -> None:
        """A process leaves nothing."""


def _outside(word: str, recipe: Recipe, port_inside: int, port: int) -> str:
    """A word of a command as it must be outside of the container: other places, and another port."""
    found = recipe.locate(word)
    if found is not None:
        return found
    return {"host=0.0.0.0": f"host={HOST}", f"port={port_inside}": f"port={port}"}.get(word, word)


class InEngine:
    """Images are really built, and containers are really run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def build(self, context: Path, dockerfile: str) -> None:
        read_recipe(context, dockerfile)
        try:
            self._engine.build(context, _tag(digest_of(context)), dockerfile)
        except MltoolError as error:
            raise DockerfileError(error.message) from error

    def command(self, wanted: Wanted, home: Path, port: int) -> Command:
        container = f"mltool-gcp-{wanted.name.rpartition('/')[2]}-{uuid.uuid4().hex[:6]}"
        if wanted.arguments:
            raise StartError("With a container engine only the command of the image can be run.")
        variables = {**wanted.environment, "PORT": str(wanted.port)}
        try:
            words = self._engine.foreground(container, _tag(wanted.image.digest), HOST, port, wanted.port, variables)
        except MltoolError as error:
            raise StartError(error.message) from error
        return Command(words, dict(os.environ), container)

    def remove(self, container: str) -> None:
        with contextlib.suppress(MltoolError):
            self._engine.remove(container)


def _tag(digest: str) -> str:
    """Of an image in the engine: another content never takes its place."""
    return f"localhost/mltool-gcp:{digest.removeprefix('sha256:')[:12]}"
