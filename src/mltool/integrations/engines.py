"""Docker, podman and buildah, as far as they are needed: build an image, and run one container of it."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from mltool.core import events
from mltool.core.errors import MltoolError

ENGINES = ("docker", "podman", "buildah")
"""In the order in which `auto` takes them."""
_NUM_LINES = 12
_ASK_S, _STOP_S = 30, 40


class Engine(Protocol):
    """Container engines; names of containers are ours, so that a second run finds what a first one left."""

    name: str

    def build(self, context: Path, tag: str, dockerfile: str = "Dockerfile") -> None:
        """Raises: MltoolError: The build failed; with the last lines that the engine wrote."""

    def size_bytes(self, tag: str) -> int:
        """All layers, unpacked."""

    def exists(self, container: str) -> bool: ...

    def start(self, container: str, tag: str, host: str, port: int, port_inside: int) -> None:
        """Start a container whose server answers on `host:port` of this machine, in the background."""

    def foreground(
        self, container: str, tag: str, host: str, port: int, port_inside: int, environment: Mapping[str, str]
    ) -> list[str]:
        """The command that runs a new container as `start` does, with these variables, until it is told to end."""

    def is_running(self, container: str) -> bool: ...

    def last_lines(self, container: str) -> str:
        """What it wrote last."""

    def remove(self, container: str) -> None:
        """Stop a container with SIGTERM, and delete it; none is fine."""


class DockerLike:
    """Docker, and podman, which takes the same commands."""

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self, context: Path, tag: str, dockerfile: str = "Dockerfile") -> None:
        # Podman's own format has no HEALTHCHECK.
        form = ("--format", "docker") if self.name == "podman" else ()
        _build([self.name, "build", *form, "--file", str(context / dockerfile), "--tag", tag, str(context)], self.name)

    def size_bytes(self, tag: str) -> int:
        return int(_run([self.name, "image", "inspect", "--format", "{{.Size}}", tag]))

    def exists(self, container: str) -> bool:
        return _succeeds([self.name, "container", "inspect", container])

    def start(self, container: str, tag: str, host: str, port: int, port_inside: int) -> None:
        place = _published(host, port, port_inside)
        _run([self.name, "run", "--detach", "--name", container, "--publish", place, tag])

    def foreground(
        self, container: str, tag: str, host: str, port: int, port_inside: int, environment: Mapping[str, str]
    ) -> list[str]:
        place = _published(host, port, port_inside)
        return [self.name, "run", "--rm", "--name", container, "--publish", place, *_variables(environment), tag]

    def is_running(self, container: str) -> bool:
        command = [self.name, "container", "inspect", "--format", "{{.State.Running}}", container]
        return _succeeds(command) and _run(command) == "true"

    def last_lines(self, container: str) -> str:
        command = [self.name, "logs", "--tail", str(_NUM_LINES), container]
        return _tail(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout)

    def remove(self, container: str) -> None:
        if self.exists(container):
            _succeeds([self.name, "stop", container])
            _run([self.name, "rm", "--force", container])


class Buildah:
    """Builds without a daemon; its containers share the network of this machine, and end with us."""

    name = "buildah"

    def __init__(self) -> None:
        self._running: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}

    def build(self, context: Path, tag: str, dockerfile: str = "Dockerfile") -> None:
        options = ["--format", "docker", "--layers", "--force-rm", "--file", str(context / dockerfile), "--tag", tag]
        _build(["buildah", "build", *options, str(context)], self.name)

    def size_bytes(self, tag: str) -> int:
        (image,) = json.loads(_run(["buildah", "images", "--json", tag]))
        number, unit = re.fullmatch(r"([\d.]+) ?([kMGT]?)B", image["size"]).groups()  # type: ignore[union-attr]
        return int(float(number) * 1000 ** " kMGT".index(unit or " "))

    def exists(self, container: str) -> bool:
        return _succeeds(["buildah", "inspect", "--type", "container", container])

    def start(self, container: str, tag: str, host: str, port: int, port_inside: int) -> None:
        command = self.foreground(container, tag, host, port, port_inside, {})
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the container is removed
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._running[container] = process, log

    def foreground(
        self, container: str, tag: str, host: str, port: int, port_inside: int, environment: Mapping[str, str]
    ) -> list[str]:
        _run(["buildah", "from", "--pull-never", "--name", container, tag])
        # `buildah run` knows nothing of CMD. Of two equal keys the last one counts.
        command = json.loads(_run(["buildah", "inspect", "--type", "image", tag]))["OCIv1"]["config"]["Cmd"]
        command += [f"host={host}", f"port={port}"]  # it shares the network of this machine
        return ["buildah", "run", "--network", "host", *_variables(environment), container, "--", *command]

    def is_running(self, container: str) -> bool:
        return container in self._running and self._running[container][0].poll() is None

    def last_lines(self, container: str) -> str:
        if container not in self._running:
            return ""
        log = self._running[container][1]
        return _tail(os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode(errors="replace"))

    def remove(self, container: str) -> None:
        if container in self._running:
            process, log = self._running.pop(container)
            log.close()
            process.terminate()  # it ends what it runs
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for pid in _pids_running(container):  # of an earlier run of ours, which was killed
            os.kill(pid, signal.SIGTERM)
        if self.exists(container):
            _run(["buildah", "rm", container])


def _published(host: str, port: int, port_inside: int) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port}:{port_inside}"


def _variables(environment: Mapping[str, str]) -> list[str]:
    return [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]


def _pids_running(container: str) -> list[int]:
    """The `buildah run` processes of a container; buildah itself keeps no list of them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program, *arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if program == "buildah" and arguments[:1] == ["run"] and container in arguments:
                found.append(int(folder.name))
    return found


def find_engine(wanted: str) -> Engine:
    """The engine that was asked for, or the first that works here.

    Raises:
        MltoolError: None works.
    """
    reasons = {}
    for name in ENGINES if wanted == "auto" else (wanted,):
        reason = why_not(name)
        if reason is None:
            return Buildah() if name == "buildah" else DockerLike(name)
        reasons[name] = reason
    found = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
    raise MltoolError(
        f"no container engine works here: {found}",
        hint="install docker, podman or buildah; `context_folder=DIR` writes what another machine needs to build",
    )


def _build(command: Sequence[str], name: str) -> None:
    """Run a build, and show its lines as they come.

    Raises:
        MltoolError: It failed.
    """
    last: collections.deque[str] = collections.deque(maxlen=_NUM_LINES)
    with (
        events.track("build the image", None, "lines") as bar,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                if line.strip():
                    last.append(line.rstrip())
                    bar.advance(1, line.strip())
        except BaseException:  # Ctrl-C
            process.terminate()
            raise
    code = process.returncode
    if code != 0:
        raise MltoolError(f"{name} could not build the image:\n" + "\n".join(last))


def _run(command: Sequence[str]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        raise MltoolError(f"`{' '.join(command[:2])}` failed: {last_line(answer)}")
    return answer.stdout.strip()


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_NUM_LINES:])


def why_not(name: str) -> str | None:
    """Why an engine does not work here, in words that follow its name; None if it does."""
    if shutil.which(name) is None:
        return "is not installed"
    # Docker's client says its own version even when there is no daemon.
    command = [name, "version", "--format", "{{.Server.Version}}"] if name == "docker" else [name, "version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S)
    except subprocess.TimeoutExpired:
        return "does not answer"
    except OSError as error:
        return f"cannot be started ({error.strerror})"
    return None if answer.returncode == 0 else f"does not work ({last_line(answer)})"


def last_line(answer: subprocess.CompletedProcess[str]) -> str:
    """Why a command of an engine failed, in its own words."""
    # What docker says last of a command that failed is where its help is.
    lines = [line for line in answer.stderr.splitlines() if line.strip() and not line.startswith(("Run '", "See '"))]
    return lines[-1] if lines else f"it ended with {answer.returncode}"
