from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mltool.artifacts.artifact import Artifact

Make = Callable[..., Artifact]


@pytest.fixture
def complete(project: Path) -> Callable[..., list[str]]:
    """Asks for the candidates of a line in bash's way; a line that ends in a space starts a new word."""

    def call(line: str) -> list[str]:
        words = shlex.split(line)
        position = len(words) if line.endswith(" ") else len(words) - 1
        environment = {"COMP_WORDS": line, "COMP_CWORD": str(position), "_MLTOOL_COMPLETE": "complete_bash"}
        process = subprocess.run(
            [sys.executable, "-m", "mltool"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert process.stderr == ""
        return process.stdout.split()

    return call


Complete = Callable[[str], list[str]]


def test_commands_and_their_subcommands_are_completed(complete: Complete) -> None:
    assert complete("mltool tr") == ["train"]
    assert {"list", "show", "compare", "rm", "gc"} <= set(complete("mltool models "))


def test_options_are_completed(complete: Complete) -> None:
    assert complete("mltool train --re") == ["--resume"]


def test_choices_are_completed_in_one_word_and_as_bash_splits_it(complete: Complete) -> None:
    assert complete("mltool train train.optimizer=ad") == ["train.optimizer=adamw", "train.optimizer=adam"]
    assert complete("mltool train train.optimizer = ad") == ["adamw", "adam"]
    assert complete("mltool train optimizer =") == ["adamw", "adam", "sgd"]


def test_keys_are_completed_with_their_equals_sign(complete: Complete) -> None:
    assert {"epochs=", "lr=", "data.source="} <= set(complete("mltool train "))
    assert complete("mltool train data.s") == ["data.source=", "data.split_seed="]
    assert "model.args." in complete("mltool train model.")


def test_a_single_key_comes_with_its_values_so_that_no_space_is_added(complete: Complete) -> None:
    assert complete("mltool train epo") == ["epochs=", "epochs=30"]


def test_references_are_completed_from_the_store(complete: Complete, make_model: Make, make_dataset: Make) -> None:
    make_dataset("penguins")
    make_model(accuracy=0.5)
    make_model(accuracy=0.6)
    assert complete("mltool evaluate di") == ["digits", "digits@1", "digits@2"]
    assert complete("mltool models show digits @ 2") == ["2"]
    assert complete("mltool models compare digits@1 l") == ["latest"]
    assert complete("mltool models rm digits@1 ") == []
    assert complete("mltool profile digits@1 digits") == ["digits", "digits@2"]
    assert "latest" not in complete("mltool profile digits@1 batch_sizes = ")
    assert complete("mltool profile digits@1 backend = onn") == ["onnxruntime"]
    assert {"latest", "digits@2", "threads="} <= set(complete("mltool profile digits@1 threads=1 "))
    assert complete("mltool data show p") == ["penguins", "penguins@1"]
    assert complete("mltool evaluate digits spl") == ["split=", "split=train", "split=validation", "split=test"]


def test_the_file_of_an_import_is_left_to_the_shell(complete: Complete) -> None:
    assert complete("mltool import ") == []
    assert "model.target=" in complete("mltool import weights.pt model.")


def test_a_damaged_store_offers_nothing_and_says_nothing(complete: Complete, make_model: Make, project: Path) -> None:
    make_model()
    (project / ".mltool" / "refs" / "model" / "digits.json").write_text("{", encoding="utf-8")
    assert complete("mltool models show ") == []
