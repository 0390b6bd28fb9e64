"""The road's `dvc.yaml` when somebody has been at it, and what is said when a step fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mltool.cli.app import run
from mltool.core import events
from mltool.core.errors import ConfigError
from mltool.stages.run import folder, pipeline
from user_project import said

__all__ = ["said"]
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC


def text(*keys: str) -> str:
    return pipeline.text_of(Path.cwd(), pipeline.commands({"train": keys}), {})


def test_a_comment_is_no_edit_and_stays(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / pipeline.FILE
    for commented in (
        f"{text('lr=1')}# mine\n",
        f"# mine\n{text('lr=1')}",
        text("lr=1").replace("stages:", "stages: # mine"),
    ):
        path.write_text(commented)
        folder.write(tmp_path, text("lr=1"), ["lr=1"])
        assert path.read_text() == commented
    assert said == []
    folder.write(tmp_path, text("lr=2"), ["lr=2"])
    assert path.read_text() == text("lr=2")
    assert said == [f"`{path}` was written anew, without the comments that were added to it"]


def test_an_edit_that_already_does_what_is_asked_is_run(tmp_path: Path) -> None:
    path = tmp_path / pipeline.FILE
    path.write_text(text("lr=1").replace("lr=1", "lr=2"))
    with events.collected() as texts:
        folder.write(tmp_path, text("lr=2"), ["lr=2"])
    assert "was edited, so it is run as it stands" in texts[0]
    with pytest.raises(ConfigError, match=r"`lr=3` would change .* which somebody edited"):
        folder.write(tmp_path, text("lr=3"), ["lr=3"])


def test_a_file_that_is_no_yaml_is_said_to_be_that_whatever_is_asked(tmp_path: Path) -> None:
    (tmp_path / pipeline.FILE).write_text(text() + "  - what\n")
    for asked in ([], ["lr=1"]):
        with pytest.raises(ConfigError, match=r"dvc.yaml` cannot be read"):
            folder.write(tmp_path, text(), asked)


def test_a_step_that_fails_is_spoken_of_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("road").mkdir()
    step = "cd .. && mltool train model.target=nowhere:Net --json > road/train.json"
    Path("road/dvc.yaml").write_text(
        f"{pipeline._HEAD}\nstages:\n  train:\n    cmd: {step}\n    outs:\n    - train.json:\n        cache: false\n"
    )
    assert run(["run"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith(("error", "hint"))] == ["error", "hint"]
    assert lines[-2].startswith("error: `train` ended with 2: ")
    assert "MLTOOL_STEP" not in os.environ
