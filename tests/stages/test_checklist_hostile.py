"""A stranger's folder may hold anything: nothing of it is run, and what cannot be read is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checklist_project import FILES, write_whole_project
from hypothesis import given, settings
from hypothesis import strategies as st

from mltool.stages.checklist.project import MAX_DEPTH, MAX_TEXT_BYTES, Project
from mltool.stages.checklist.stage import Audit, audit

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
WATCHED = """
import sys
from pathlib import Path
from mltool.stages.checklist.stage import audit

forbidden = ("subprocess", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "socket.", "os.remove",
             "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "pickle.", "marshal.load", "ctypes.dlopen")
root = sys.argv[1]

def watch(event, arguments):
    if event.startswith(forbidden):
        raise RuntimeError(f"{event} {arguments}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise RuntimeError(f"{event} {arguments}")
    if event in ("exec", "import") and root in str(arguments[0]):
        raise RuntimeError(f"{event} {arguments}")

audit(Path(root))  # imports of ours may read caches and load libraries
sys.addaudithook(watch)
print(len(audit(Path(root)).judged))
"""
TRAP = "import pathlib\npathlib.Path('{mark}').write_text('run')\n"


def problems(found: Audit) -> dict[str, str]:
    return {one.path: one.text for one in found.problems}


def test_nothing_is_run_imported_or_written(tmp_path: Path) -> None:
    project, mark = tmp_path / "project", tmp_path / "mark"
    files = write_whole_project(project)
    for name in (
        "setup.py",
        "conftest.py",
        "tests/conftest.py",
        "src/corn/evil.py",
        "sitecustomize.py",
        "tasks.py",
        "noxfile.py",
    ):
        files.write(name, TRAP.format(mark=mark))
    files.write("models/model.pkl", "cos\nsystem\n(S'touch mark'\ntR.")
    files.git("init", "-q")
    files.git("add", "-A")
    files.git("commit", "-q", "-m", "one")
    files.write(".git/hooks/post-checkout", f"#!/bin/sh\ntouch {mark}\n")
    (project / ".git/config").write_text(
        f"[core]\n\tfsmonitor = touch {mark}\n\tpager = touch {mark}\n[diff]\n\texternal = touch {mark}\n"
    )
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    ended = subprocess.run([sys.executable, "-c", WATCHED, str(project)], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "58\n"), ended.stderr
    assert not mark.exists()
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


@needs_pipes
def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    for name in ("README.md", "pyproject.toml", "src/a.py", ".git/HEAD", ".dvc/config", "coverage.xml", "mltool.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / name)
    (tmp_path / "Makefile").symlink_to("/dev/zero")
    (tmp_path / "Dockerfile").symlink_to("/dev/stdin")
    found = audit(tmp_path)
    assert (found.counts["done"], found.num_files, found.problems) == (0, 2, ())


@needs_pipes
def test_a_file_that_becomes_a_pipe_while_it_is_read_does_not_stop_the_audit(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "gone.md").write_text("words")
    project = Project(tmp_path)
    (tmp_path / "README.md").unlink()
    os.mkfifo(tmp_path / "README.md")
    (tmp_path / "gone.md").unlink()
    assert (project.text("README.md"), project.text("gone.md")) == ("", "")
    assert {one.path: one.text for one in project.problems} == {
        "README.md": "is no plain file",
        "gone.md": "cannot be read: No such file or directory",
    }


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text("import torch\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / "loop").symlink_to(project)
    (project / "away").symlink_to(outside)
    (project / "one.py").symlink_to(outside / "secret.py")
    (project / "nowhere.py").symlink_to("nothing")
    (project / "README.md").symlink_to(outside / "secret.py")
    found = audit(project)
    assert (found.num_files, found.problems) == (5, ())
    assert not [one for one in found.judged if ".py:" in one.finding.evidence]


BROKEN = {
    ".github/workflows/broken.yaml": ("on: [push\njobs: {", "is no YAML"),
    "pyproject.toml": ("[project\n", "is no TOML"),
    "src/corn/broken.py": ("def f(:\n", "is no Python: invalid syntax"),
    "notebooks/a.ipynb": ('{"cells": [', "cannot be read"),
    "notebooks/b.ipynb": ('{"cells": 3}', "cannot be read"),
    "notebooks/c.ipynb": ("[" * 100_000, "nested too deep"),
    "src/corn/deep.py": ("(" * 10_000 + ")" * 10_000, ""),
    "src/corn/null.py": ("a = 1\0", "null bytes"),
    "mltool.yaml": ("a: &a [1]\n" + "b: *a\n" * 60_000, "more than 50,000 values"),
    "alerts.yml": ("[" * 100_000 + "alert:", "maximum nesting"),
    "requirements.txt": ("torch===\n", ""),
    ".dvc/config": ("no section = 1\n", "MissingSectionHeaderError"),
    ".mltool/artifacts/0123/artifact.json": ("{}", "is no evidence"),
    ".mltool/deployments/x/deployment.json": ("{}", "is no evidence"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_said_and_the_rest_is_read(tmp_path: Path, name: str) -> None:
    text, problem = BROKEN[name]
    files = write_whole_project(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = audit(tmp_path)
    said = {path.partition(":")[0]: text for path, text in problems(found).items()}
    assert problem in said.get(name, "") if problem else True
    assert files.judge("diagram").verdict.value == "done"
    assert found.counts["done"] > 30


def test_nine_lines_that_stand_for_a_billion_are_not_written_out(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    merged = [f"m{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 9)}]" for n in range(1, 9)]
    (tmp_path / "mltool.yaml").write_text("\n".join(lines))
    (tmp_path / "sweep.yaml").write_text("\n".join(["m0: &m0 {a: 1}", *merged]))
    assert {"mltool.yaml", "sweep.yaml"} <= set(problems(audit(tmp_path)))


def test_other_encodings_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes("Vejrmøller ".encode("latin-1") * 200)
    found = audit(tmp_path)
    assert problems(found) == {"README.md": "is not UTF-8"}
    assert next(one for one in found.judged if one.item.id == "docs").finding.verdict.value == "partly"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "README.md").open("wb") as stream:
        stream.truncate(50 << 30)
    found = audit(tmp_path)
    assert problems(found) == {"README.md": f"not read: it is larger than {MAX_TEXT_BYTES >> 20} MiB"}


def test_a_folder_too_deep_is_left_out_and_said(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (MAX_DEPTH + 5))
    deep.mkdir(parents=True)
    (deep / "a.py").write_text("")
    found = audit(tmp_path)
    assert found.num_files == 0
    assert "folders deep" in next(iter(problems(found).values()))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0o000)
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "README.md").chmod(0o000)
    assert set(problems(audit(tmp_path))) == {"secret", "README.md"}


def test_a_strangers_text_cannot_move_the_cursor_or_fill_the_screen(tmp_path: Path) -> None:
    files = write_whole_project(tmp_path)
    files.write("conf/\x1b[2Jevil.yaml", "lr: 1\n")
    files.write("src/corn/more.py", f"import {'x' * 5000}\n")
    files.write(".dvc/config", '[core]\nremote = "\\u202e"\n[\'remote "a"\']\nurl = gs://bucket/\x1b[31m\n')
    for one in audit(tmp_path).judged:
        assert one.finding.evidence.isprintable(), one
        assert len(one.finding.evidence) <= 400


def test_passwords_in_addresses_are_not_shown(tmp_path: Path) -> None:
    files = write_whole_project(tmp_path)
    files.git("init", "-q")
    files.git("add", "-A")
    files.git("commit", "-q", "-m", "one")
    files.git("remote", "add", "origin", "https://ada:hunter2xyz@example.com/corn.git")
    files.write(".dvc/config", "[core]\nremote = s\n['remote \"s\"']\nurl = ssh://ada:hunter2xyz@example.com/data\n")
    files.write(".dvc/config.local", "['remote \"s\"']\npassword = hunter2xyz\n")
    said = json.dumps(audit(tmp_path).to_json())
    assert "remote `origin` at https://example.com/corn.git" in said
    assert "remote `s` at ssh://example.com/data" in said
    assert "hunter2xyz" not in said


MEGABYTE = 1 << 20
WORKFLOW = ("on: push\njobs: {a: {runs-on: x, steps: [{run: '", "'}]}}")
HEADS = {
    ".github/workflows/a.yaml": WORKFLOW, "Dockerfile": ("FROM a\nRUN ", ""), "build.sh": ("", ""),
    "Makefile": ("a:\n\t", ""), "README.md": ("-->\n", ""), "page.html": ("", ""), "alerts.yml": ("", ""),
    "lightning_logs/hparams.yaml": ("", ""), "requirements.txt": ("a", ""), "conda-lock.yml": ("", ""),
    "src/corn/blank.py": ("a = 1", ""),
}  # fmt: skip
PARTS = [
    "pip ", "make a ", "./run.sh ", "docker compose ", "gcloud ai ", "mltool train ", "<form ", "-->", "\n", " ", "a/",
    "deps ", "- ",
]  # fmt: skip


@pytest.mark.timeout(60)  # for what would take hours if the work grew with the square of the length
@pytest.mark.parametrize("part", PARTS)
def test_lines_of_a_megabyte_do_not_stop_an_audit(tmp_path: Path, part: str) -> None:
    files = write_whole_project(tmp_path)
    files.write("run.sh", "true\n")
    files.write(".github/workflows/call.yaml", f"{WORKFLOW[0]}make a && ./run.sh && ./build.sh{WORKFLOW[1]}")
    for name, (head, end) in HEADS.items():
        (tmp_path / name).write_text(f"{head}{part * (MEGABYTE // len(part))}x{end}\n")
    assert sum(audit(tmp_path).counts.values()) == 58


NAMES = st.sampled_from([
    *FILES, ".git/HEAD", ".git/config", ".git/packed-refs", "a.ipynb", "setup.cfg", "setup.py", "uv.lock", "Dockerfile",
    "dvc.lock", "dvc.yaml", ".gitlab-ci.yml", "tests/conftest.py", ".mltool/refs/model/a.json", "environment.yml",
    "poetry.lock", "coverage.json", ".pytest_cache/v/cache/lastfailed",
])  # fmt: skip
PIECES = st.sampled_from([
    *FILES.values(), "{}", "[]", "- a\n- {b: [c]}\n", "steps: 3\n", "on:\njobs: []\n", "outs: {a: b}\n", "repos: [1]\n",
    "COPY\nRUN <<EOF\n", "FROM a\nCOPY . .\\\n", "import a.b as c\nc.d.e()(1)[2].f()\n",
    '{"cells": [{"cell_type": "code", "source": 1}]}', "[project]\ndependencies = 3\n", "[tool]\nruff = 1\n",
    "jobs: {a: {steps: 1, runs-on: x}}\non: {push: {paths: 1}}\n",
])  # fmt: skip
TEXTS = st.one_of(
    st.binary(max_size=200), st.lists(PIECES, min_size=1, max_size=3).map(lambda parts: "".join(parts).encode())
)


@settings(max_examples=60)
@given(st.dictionaries(NAMES, TEXTS, max_size=12), st.integers(0, 200))
def test_no_tree_of_files_stops_an_audit(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes], cut: int
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[cut:] if len(content) > cut else content)
    found = audit(root)
    assert all(one.finding.evidence for one in found.judged)
    assert sum(found.counts.values()) == 58
    json.dumps(found.to_json())
