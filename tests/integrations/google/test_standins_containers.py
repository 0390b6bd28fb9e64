"""Containers without an engine: what of a Dockerfile is followed, and that nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mltool.core.processes import identity
from mltool.integrations.google.standins.containers import Container, Fleet, start
from mltool.integrations.google.standins.dockerfile import DockerfileError, read_recipe
from mltool.integrations.google.standins.images import Image, digest_of
from mltool.integrations.google.standins.runners import Processes, StartError, Wanted
from standins_testing import FILES, SERVER, ask, until

SAYING = SERVER.replace("import http.server, os", "import http.server, json, os, sys").replace(
    'os.environ.get(self.path.strip("/"), os.environ.get("WORD", "")).encode()',
    "json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ), 'cwd': os.getcwd(), 'pid': os.getpid()}).encode()",
)


def context(dockerfile: str, **files: str) -> Path:
    folder = Path("context").absolute()
    folder.mkdir(exist_ok=True)
    for name, text in {"Dockerfile": dockerfile, **files}.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def wanted(folder: Path, port: int = 8000, **environment: str) -> Wanted:
    return Wanted(
        name="projects/p/locations/l/services/a/revisions/a-1",
        image=Image(digest_of(folder), folder, "Dockerfile"),
        port=port,
        environment=environment,
        probe_path="/health",
        patience_s=60,
    )


def running(server: str) -> Container:
    folder = context(FILES["Dockerfile"], **{"server.py": server})
    return start(Processes(), wanted(folder), Path("home").absolute())


def test_places_ports_and_hosts_are_those_of_outside() -> None:
    folder = context(
        "FROM python\n"
        "ENV HERE=/opt/data THERE=/nowhere A=1 \\\n    B='two words'\n"
        "# COPY missing /x\n"
        "COPY server /app/server.py\nCOPY data /opt/data\n"
        'ENTRYPOINT ["python3"]\n'
        'CMD ["/app/server.py", "/opt/data/deep/file", "host=0.0.0.0", "port=8000", "port=9"]\n',
        server=SAYING,
        data__deep__file="",
    )
    container = start(Processes(), wanted(folder, B="over"), Path("home").absolute())
    try:
        _, body = ask(f"http://127.0.0.1:{container.port}", "/health")
    finally:
        container.stop()
    said = json.loads(body)
    assert said["argv"] == [str(folder / "data/deep/file"), "host=127.0.0.1", f"port={container.port}", "port=9"]
    environment = said["env"]
    assert environment["HERE"] == str(folder / "data")
    assert "THERE" not in environment
    assert (environment["A"], environment["B"]) == ("1", "over")
    assert environment["PORT"] == str(container.port)
    assert environment["HOME"] == said["cwd"] == str(Path("home").absolute())
    assert identity(said["pid"]) is None


def test_the_variables_of_this_process_stay_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "hunter2xyz")
    container = start(
        Processes(), wanted(context(FILES["Dockerfile"], **{"server.py": SAYING})), Path("home").absolute()
    )
    try:
        assert b"hunter2xyz" not in ask(f"http://127.0.0.1:{container.port}")[1]
    finally:
        container.stop()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ('CMD ["node", "/server.py"]', "nly `python` can be run, not `node /server.py`"),
        ("CMD python /server.py", "nly `python` can be run"),
        ("", "nly `python` can be run"),
        ('CMD ["python", "/server.py", "host=127.0.0.1"]', "listens on its own loopback, where nobody reaches it"),
    ],
)
def test_a_command_that_cannot_be_run_here_is_named(command: str, problem: str) -> None:
    folder = context(f"FROM python\nCOPY server.py /server.py\n{command}\n", **{"server.py": SERVER})
    with pytest.raises(StartError) as caught:
        start(Processes(), wanted(folder), Path("home").absolute())
    assert problem in str(caught.value)


def test_only_the_last_stage_is_run_and_what_other_stages_made_is_not_looked_for() -> None:
    lines = [
        "ARG VERSION=3",
        "FROM python:$VERSION AS first",
        "COPY a /a",
        "CMD ['no', 'json']",
        "FROM python",
        "COPY --from=first /a /b",
        "COPY --chown=1:1 a b /folder/",
        "WORKDIR app",
        'COPY ["a", "./here"]',
        "COPY *.txt ./",
        "CMD run it",
    ]
    folder = context("\n".join(lines), **dict.fromkeys(("a", "b", "one.txt", "two.txt"), ""))
    recipe = read_recipe(folder)
    assert recipe.command == ["/bin/sh", "-c", "run it"]
    assert recipe.workdir == "/app"
    assert {place: path.name for place, path in recipe.copies.items()} == {
        "/folder/a": "a",
        "/folder/b": "b",
        "/app/here": "a",
        "/app/one.txt": "one.txt",
        "/app/two.txt": "two.txt",
    }


def test_a_link_out_of_the_context_is_not_copied() -> None:
    folder = context("FROM python\nCOPY link /a\n")
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(DockerfileError, match="forbidden path outside the build context: link"):
        read_recipe(folder)


def test_digests_are_of_names_contents_and_whether_a_file_may_be_run() -> None:
    folder = context("FROM python\n", a="1")
    found = {digest_of(folder)}
    (folder / "a").chmod(0o755)
    found.add(digest_of(folder))
    (folder / "a").rename(folder / "b")
    found.add(digest_of(folder))
    (folder / "b").write_text("2")
    found.add(digest_of(folder))
    assert len(found) == 4
    assert all(one.startswith("sha256:") and len(one) == 71 for one in found)


STARTING = """
import sys, time
from pathlib import Path
from mltool.integrations.google.standins.containers import Fleet
from mltool.integrations.google.standins.images import Image
from mltool.integrations.google.standins.runners import Processes, Wanted
fleet = Fleet(Processes(), Path("fleet").absolute())
container = fleet.ensure(
    Wanted("a/revisions/a-1", Image("", Path(sys.argv[1]), "Dockerfile"), 8000, {}, "/health", 20)
)
print(container.port, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_containers_end_when_whoever_started_them_is_killed() -> None:
    folder = context(FILES["Dockerfile"], **{"server.py": SAYING})
    with subprocess.Popen([sys.executable, "-c", STARTING, str(folder)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        pid = json.loads(ask(f"http://127.0.0.1:{port}")[1])["pid"]
        assert identity(pid) is not None
        os.kill(parent.pid, signal.SIGKILL)
    until(lambda: identity(pid) is None)


def test_a_container_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SAYING}"
    monkeypatch.setattr("mltool.integrations.google.standins.containers._STOP_S", 0.3)
    container = start(
        Processes(), wanted(context(FILES["Dockerfile"], **{"server.py": stubborn})), Path("home").absolute()
    )
    pid = json.loads(ask(f"http://127.0.0.1:{container.port}")[1])["pid"]
    container.stop()
    until(lambda: identity(pid) is None)


def test_a_fleet_that_is_stopped_starts_nothing_more() -> None:
    fleet = Fleet(Processes(), Path("fleet").absolute())
    folder = context(FILES["Dockerfile"], **{"server.py": SAYING})
    container = fleet.ensure(wanted(folder))
    assert fleet.reach(wanted(folder).name) == container.port
    fleet.stop()
    assert not container.is_running
    assert fleet.reach(wanted(folder).name) is None
    with pytest.raises(StartError):
        fleet.ensure(wanted(folder))


def test_what_is_wanted_otherwise_takes_the_place_of_what_runs() -> None:
    fleet, folder = Fleet(Processes(), Path("fleet").absolute()), context(FILES["Dockerfile"], **{"server.py": SERVER})
    first, again = (fleet.ensure(wanted(folder, WORD="one")) for _ in range(2))
    assert first is again
    second = fleet.ensure(wanted(folder, WORD="two"))
    assert not first.is_running
    assert ask(f"http://127.0.0.1:{second.port}") == (200, b"two")
    fleet.stop()
