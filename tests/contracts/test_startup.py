"""What a command imports before it is needed is time that everybody waits, every time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch", "numpy", "onnx", "onnxruntime", "wandb", "dvc", "google", "omegaconf", "pyarrow", "PIL", "scipy",
    "optuna", "hydra",
}  # fmt: skip
REPORT = """
import sys
from mltool.cli.app import run
try:
    code = run(sys.argv[1:])
finally:
    sys.stderr.write("\\nLOADED " + " ".join({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


def loaded(folder: Path, arguments: list[str], expected: int, **environment: str) -> set[str]:
    process = subprocess.run(
        [sys.executable, "-c", REPORT, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert process.returncode == expected, process.stderr
    return set(process.stderr.partition("LOADED ")[2].split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], 0),
        (["--help"], 0),
        (["--version"], 0),
        (["train", "--help"], 0),
        (["models", "list"], 0),
        (["models", "list", "--json"], 0),
        (["train", "epochs=x"], 2),
        (["import"], 2),
        (["train", "--print-config"], 0),
        (["tune", "trials=0"], 2),
        (["tune", "--print-config"], 0),
        (["evaluate", "split=nowhere"], 2),
        (["predict"], 2),
        (["monitor", "drift"], 2),
        (["monitor", "robustness", "nothing"], 3),
        (["monitor", "robustness", "corruptions=jpg"], 2),
        (["monitor", "robustness", "--print-config"], 0),
        (["monitor", "report", "--print-config"], 0),
        (["monitor", "drift", "current=a.csv", "alpha=1"], 2),
        (["data", "list"], 0),
        (["data", "push"], 3),
        (["data", "push", "remte=x"], 2),
        (["data", "pull", "nothing"], 3),
        (["run", "epochs=x"], 2),
        (["run", "--print-config"], 0),
        (["run", "--dry-run"], 0),
        (["profile", "batch_sizes=0"], 2),
        (["profile", "http://localhost"], 2),
        (["profile", "nothing"], 3),
        (["profile", "--print-config"], 0),
        (["gcp", "emulate", "--help"], 0),
        (["gcp", "emulate", "--print-config"], 0),
        (["gcp", "emulate", "port=x"], 2),
        (["checklist"], 0),
        (["checklist", "nowhere"], 2),
    ],
)
def test_no_heavy_library_is_loaded(tmp_path: Path, arguments: list[str], expected: int) -> None:
    modules = loaded(tmp_path, arguments, expected)
    assert "mltool" in modules
    assert not HEAVY & modules


@pytest.mark.parametrize("line", ["mltool train train.optimizer=ad", "mltool evaluate ", "mltool mo"])
def test_completion_loads_no_heavy_library(tmp_path: Path, line: str) -> None:
    position = str(len(line.split(" ")) - 1)
    environment = {"COMP_WORDS": line, "COMP_CWORD": position, "_MLTOOL_COMPLETE": "complete_bash"}
    modules = loaded(tmp_path, [], 0, **environment)
    assert "typer" in modules
    assert not HEAVY & modules


def test_help_draws_without_rich(tmp_path: Path) -> None:
    assert not {"rich", "pydantic", "yaml"} & loaded(tmp_path, ["--help"], 0)


def test_the_package_alone_loads_nothing() -> None:
    code = "import sys, mltool; print(*{name.partition('.')[0] for name in sys.modules})"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not (HEAVY | {"typer", "rich", "yaml"}) & set(process.stdout.split())
