"""What the documentation shows is run as it is written, from top to bottom, by the shell of a newcomer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *ROOT.glob("examples/**/*.md")))
FENCE = re.compile(
    r"(?:<!-- (?P<marker>[^>]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\((?P<path>[^)#:]+)(?:#(?P<heading>[^)]+))?\)")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    marker: str
    """Why the block is not run: `set-up: …`, `not run: …`, `in FILE`; empty for all others."""


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [Block(match["language"], match["text"], match["marker"] or "") for match in FENCE.finditer(text)]


def script(page: str) -> str:
    """All blocks of a page as one script, so that `cd` and variables last from block to block."""
    return "\n".join(_lines(page))


def _lines(page: str) -> Iterator[str]:
    yield "set -euo pipefail"
    for block in blocks(page):
        if block.language == "bash" and not block.marker:
            yield block.text
        elif block.language == "python" and not block.marker:
            yield f"python - <<'PYTHON'\n{block.text}PYTHON"


def run(page: str, clone: Path) -> subprocess.CompletedProcess[str]:
    """Run a page in a copy of what it needs of the clone, with the mltool of this environment."""
    shutil.copytree(ROOT / "examples", clone / "examples", ignore=shutil.ignore_patterns(".mltool", "__pycache__"))
    path = os.pathsep.join((sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLTOOL_")}
    return subprocess.run(
        ["bash", "-c", script(page)],
        cwd=(clone / page).parent,
        env={**environment, "PATH": path, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=800,
    )


@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="the pages are written for a POSIX shell")
@pytest.mark.parametrize("page", [page for page in PAGES if script(page) != "set -euo pipefail"])
def test_every_command_of_a_page_works_as_written(page: str, tmp_path: Path) -> None:
    process = run(page, tmp_path)
    assert process.returncode == 0, f"{process.stdout[-4000:]}\n{process.stderr[-4000:]}"
    for block in blocks(page):
        if block.language == "text" and "──" not in block.text:  # a drawing is not output
            first_words = {line.split()[0] for line in block.text.splitlines() if line.strip()}
            printed = {line.split()[0] for line in process.stdout.splitlines() if line.strip()}
            assert not first_words - printed, "the page shows lines that no command prints any more"


def test_a_failing_command_anywhere_fails_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\necho first\nfalse\n```\n\n```bash\necho second\n```\n", encoding="utf-8")
    process = subprocess.run(["bash", "-c", script(str(page))], capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (1, "first\n")


def test_what_is_not_run_says_why() -> None:
    for page in PAGES:
        for block in blocks(page):
            reason = block.marker.partition(":")[2] if not block.marker.startswith("in ") else block.marker
            assert not block.marker or reason.strip(), f"{page}: {block.text}"


def test_lines_said_to_stand_in_a_file_stand_there() -> None:
    quoted = [(block, block.marker.removeprefix("in ")) for block in blocks("README.md") if block.marker[:3] == "in "]
    assert quoted
    for block, name in quoted:
        code = [line.partition("  #")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
        for line in block.text.splitlines():
            assert line in code, f"`{line}` is not in {name}"


def test_the_readme_has_one_line_to_start_and_one_to_test() -> None:
    lines = [block.text.splitlines() for block in blocks("README.md") if block.marker.startswith("set-up:")]
    assert [len(one) for one in lines] == [1, 1]
    assert lines[0][0].endswith("mltool train")
    assert lines[1][0].endswith("pytest")


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for match in LINK.finditer((ROOT / page).read_text(encoding="utf-8")):
        target = (ROOT / page).parent / match["path"]
        assert target.exists(), f"{page} links to {match['path']}"
        if match["heading"]:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert match["heading"] in {heading.lower().replace(" ", "-") for heading in headings}
