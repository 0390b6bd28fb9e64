from __future__ import annotations

import os
from pathlib import Path

import pytest

from mltool.modeling.code_files import code_files
from mltool.modeling.config import ModelConfig, TaskConfig
from mltool.modeling.rebuild.recipe import code_digests
from user_project import Write, project, write

__all__ = ["project", "write"]


def found(project: Path, *import_paths: str) -> list[str]:
    return [os.path.relpath(path, project) for path in code_files(import_paths, project)]


@pytest.mark.parametrize(
    "line",
    [
        "import lib.blocks.conv",
        "import lib.blocks.conv as conv",
        "from lib.blocks.conv import Conv",
        "from lib.blocks import conv",
        "from .lib.blocks import conv",
        "from .lib.blocks.conv import Conv",
        "from lib.blocks import *",
        "def late():\n    import lib.blocks.conv",
        "import importlib\nimportlib.import_module('lib.blocks.conv')",
        "__import__('lib.blocks.conv')",
    ],
)
def test_however_a_module_is_imported_it_counts_with_what_it_imports(project: Path, write: Write, line: str) -> None:
    write("net.py", line)
    write("lib/__init__.py", "")
    write("lib/blocks/__init__.py", "from . import conv")
    write("lib/blocks/conv.py", "import torch\nfrom ..scale import factor")
    write("lib/scale.py", "factor = 1")
    write("lib/unused.py", "")
    write("beside.py", "")
    wanted = ["lib/__init__.py", "lib/blocks/__init__.py", "lib/blocks/conv.py", "lib/scale.py", "net.py"]
    assert found(project, "net:Net", "accuracy") == wanted


def test_names_made_at_run_time_make_all_neighbours_count(project: Path, write: Write) -> None:
    write("net.py", "import importlib\nparts = importlib.import_module('pa' + 'rts')")
    write("parts.py", "")
    assert found(project, "net:Net") == ["net.py", "parts.py"]


def test_folders_without_init_and_circles_are_followed(project: Path, write: Write) -> None:
    write("src/net.py", "from src.parts import a")
    write("src/parts/a.py", "import src.net")
    assert found(project, "src.net:Net") == ["src/net.py", "src/parts/a.py"]


def test_what_is_installed_below_the_project_does_not_count(
    project: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("net.py", "import installed, own")
    write(".venv/lib/site-packages/installed.py", "")
    write("src/own.py", "")
    monkeypatch.syspath_prepend(str(project / ".venv/lib/site-packages"))
    monkeypatch.syspath_prepend(str(project / "src"))
    assert found(project, "net:Net") == ["net.py", "src/own.py"]


@pytest.mark.parametrize("text", ["def broken(:", "\x00", "from ..... import far"])
def test_a_file_that_cannot_be_read_as_python_counts_itself(project: Path, write: Write, text: str) -> None:
    write("net.py", text)
    assert found(project, "net:Net", "nowhere:Net", ":", "a..b:c") == ["net.py"]


def test_the_digest_of_code_covers_what_it_imports(write: Write) -> None:
    config = ModelConfig(target="digested:Net"), TaskConfig()
    write("digested.py", "from digested_parts.scale import factor\nclass Net: ...")
    digests = []
    for text in ("factor = 1", "factor = 2", "factor = 1"):
        write("digested_parts/scale.py", text)
        digests.append(code_digests(*config)["model.target"])
    assert digests[0] == digests[2] != digests[1]
