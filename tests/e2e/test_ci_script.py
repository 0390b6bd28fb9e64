"""`.ci/run` with stand-ins for what it installs: it must fail when any one step fails, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "run"
TOOLS = "pip mltool ruff mypy lint-imports pytest"
STAND_IN = """#!/bin/sh
tool="${0##*/}"
case "$tool" in "$BROKEN") exit 7 ;; pytest) echo "===== 3 passed in 1.23s =====" ;; esac
"""
README = f"""
<!-- set-up: -->
```bash
mkdir -p .venv/bin && for n in {TOOLS}; do cp stand-in .venv/bin/$n; done && test -f "with space/a file" && .venv/bin/mltool train
```

<!-- set-up: -->
```bash
mkdir -p .venv/bin && cp stand-in .venv/bin/pytest && .venv/bin/pytest
```
"""  # noqa: E501

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the script needs GNU cp and bash 4")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A git repository that looks like this one to the script, with one file that was deleted but not committed."""
    clone = tmp_path / "clone"
    for folder in (".ci", "with space"):
        (clone / folder).mkdir(parents=True)
    shutil.copy(SCRIPT, clone / ".ci" / "run")
    (clone / "with space" / "a file").touch()
    (clone / "deleted").touch()
    (clone / "README.md").write_text(README, encoding="utf-8")
    (clone / "stand-in").write_text(STAND_IN, encoding="utf-8")
    (clone / "stand-in").chmod(0o755)
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    subprocess.run(["git", "add", "--all"], cwd=clone, check=True)
    (clone / "deleted").unlink()
    return clone


def run(clone: Path, broken: str = "") -> subprocess.CompletedProcess[str]:
    scratch = clone.parent / "scratch"
    scratch.mkdir()
    process = subprocess.run(
        [clone / ".ci" / "run"],
        env={**os.environ, "TMPDIR": str(scratch), "BROKEN": broken},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert not list(scratch.iterdir())
    return process


def test_the_closing_line_of_the_tests_stands_at_the_end(clone: Path) -> None:
    process = run(clone)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.splitlines()[-1] == "===== 3 passed in 1.23s ====="
    for step in ("README line 1", "README line 2", "ruff check", "ruff format", "mypy", "import layers"):
        assert f" s  {step}" in process.stdout


@pytest.mark.parametrize("broken", TOOLS.split())
def test_any_step_that_fails_fails_the_whole(clone: Path, broken: str) -> None:
    process = run(clone, broken)
    assert process.returncode == 1
    assert "FAILED (7)" in process.stdout


def test_a_readme_without_its_two_lines_is_refused(clone: Path) -> None:
    (clone / "README.md").write_text("nothing", encoding="utf-8")
    process = run(clone)
    assert process.returncode == 1
    assert "must hold two set-up lines" in process.stderr
