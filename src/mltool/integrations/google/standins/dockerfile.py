"""What of a Dockerfile decides how its container is run, read without an engine."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


class DockerfileError(Exception):
    """What a builder would stop at."""


@dataclass(slots=True)
class Recipe:
    """The last stage of a Dockerfile.

    Attributes:
        copies: Places in the image, and what of the context lies there.
        command: ENTRYPOINT and CMD, one after the other.
    """

    copies: dict[str, Path] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    workdir: str = "/"

    def locate(self, place: str) -> str | None:
        """Where a file or folder of the image lies outside of it; None for what the build would have made."""
        for target, source in sorted(self.copies.items(), key=lambda pair: -len(pair[0])):
            if place == target:
                return str(source)
            if place.startswith(f"{target.rstrip('/')}/"):
                return str(source / place[len(target.rstrip("/")) + 1 :])
        return None


def read_recipe(context: Path, name: str = "Dockerfile") -> Recipe:
    """Read a Dockerfile, and find everything that it copies.

    Raises:
        DockerfileError: There is none, it starts from nothing, or it copies what is not there.
    """
    file = context / name
    if not file.resolve().is_relative_to(context.resolve()) or not file.is_file():
        raise DockerfileError(
            f"unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat /workspace/{name}: "
            "no such file or directory"
        )
    recipe: Recipe | None = None
    entrypoint: list[str] = []
    for instruction, rest in _instructions(file.read_text(encoding="utf-8", errors="replace")):
        if instruction == "FROM":
            recipe, entrypoint = Recipe(), []
        elif instruction == "ARG" and recipe is None:
            continue
        elif recipe is None:
            raise DockerfileError("no build stage in current context: the Dockerfile must start with FROM")
        elif instruction in ("COPY", "ADD"):
            _copy(recipe, context, rest)
        elif instruction == "ENV":
            recipe.environment |= _variables(rest)
        elif instruction == "WORKDIR":
            recipe.workdir = _joined(recipe.workdir, rest)
        elif instruction == "ENTRYPOINT":
            entrypoint = _command(rest)
        elif instruction == "CMD":
            recipe.command = _command(rest)
    if recipe is None:
        raise DockerfileError("the Dockerfile (Dockerfile) cannot be empty")
    recipe.command = [*entrypoint, *recipe.command]
    return recipe


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\s*\n", " ", "\n".join(lines))
    pairs = (line.strip().partition(" ") for line in whole.splitlines() if line.strip())
    return [(name.upper(), rest.strip()) for name, _, rest in pairs]


def _copy(recipe: Recipe, context: Path, rest: str) -> None:
    words = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
    options = [word for word in words if word.startswith("--")]
    *sources, target = [word for word in words if not word.startswith("--")]
    if any(option.startswith("--from=") for option in options):
        return  # of another stage, which is not built here
    place = _joined(recipe.workdir, target)
    for source in sources:
        found = sorted(context.glob(source.lstrip("/"))) if "*" in source else [context / source.lstrip("/")]
        if not found or not all(path.exists() for path in found):
            raise DockerfileError(f"COPY failed: file not found in build context: stat {source}: file does not exist")
        for path in found:
            if not path.resolve().is_relative_to(context.resolve()):
                raise DockerfileError(f"COPY failed: forbidden path outside the build context: {source}")
            is_into = target.endswith("/") or len(sources) > 1 or len(found) > 1 or target in (".", "./")
            recipe.copies[_joined(place, path.name) if is_into and path.is_file() else place.rstrip("/") or "/"] = path


def _joined(workdir: str, place: str) -> str:
    if place.startswith("/"):
        return place
    parts = [part for part in place.split("/") if part not in ("", ".")]
    return "/".join([workdir.rstrip("/"), *parts]) or "/"


def _variables(rest: str) -> dict[str, str]:
    words = shlex.split(rest)
    if "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return dict(word.split("=", 1) for word in words if "=" in word)


def _command(rest: str) -> list[str]:
    """The words of a command; what is no JSON is for the shell, also if it looks like it."""
    try:
        words = json.loads(rest)
    except ValueError:
        words = None
    return [str(word) for word in words] if isinstance(words, list) else ["/bin/sh", "-c", rest]
