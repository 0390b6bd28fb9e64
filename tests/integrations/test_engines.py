"""Container engines, as far as they are needed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from buildah_testing import BASE, buildah, why_not
from mltool.core.errors import MltoolError
from mltool.integrations.engines import Buildah, DockerLike


@pytest.mark.skipif(sys.platform == "win32", reason="needs a script that can be run")
def test_what_docker_says_is_told_apart_from_where_its_help_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    said = "docker: Error response from daemon: port is already allocated"
    docker.write_text(
        f"#!/bin/sh\nprintf \"%s\\n\\nRun 'docker run --help' for more information\\n\" '{said}' >&2; exit 125\n"
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(MltoolError, match=f"^`docker run` failed: {said}$"):
        DockerLike("docker").start("name", "tag", "127.0.0.1", 1, 8000)


@pytest.mark.parametrize(("host", "place"), [("127.0.0.1", "127.0.0.1:9:8000"), ("::1", "[::1]:9:8000")])
def test_a_container_in_the_foreground_leaves_nothing_and_has_its_variables(host: str, place: str) -> None:
    command = DockerLike("podman").foreground("name", "tag", host, 9, 8000, {"A": "1 2", "PORT": "8000"})
    assert command == [
        *("podman", "run", "--rm", "--name", "name", "--publish", place),
        *("--env", "A=1 2", "--env", "PORT=8000", "tag"),
    ]


@pytest.mark.xdist_group("buildah")
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_the_engine_knows_the_size_of_an_image() -> None:
    (image,) = json.loads(buildah("images", "--json", f"docker.io/library/{BASE}"))
    size = Buildah().size_bytes(f"docker.io/library/{BASE}")
    assert f"{size / 1e6:.3g} MB" == f"{float(image['size'].split()[0]):.3g} MB"
