from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_testing import FAILED, Mltool

from mltool.artifacts.artifact import Artifact
from mltool.cli import errors, output, show, words
from mltool.cli.output import Mode
from mltool.core.errors import CheckError
from mltool.stages.evaluate.stage import Evaluation

Make = Callable[..., Artifact]


@pytest.fixture
def captured(project: Path, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    output.reset()
    return capsys


EVALUATION = Evaluation(
    "digits@1", "test", 359, {"accuracy": 0.95, "log_loss": math.nan}, {"accuracy": (0.92, 0.97)}, 0.9
)


def test_an_evaluation_shows_its_intervals_and_their_level(captured: pytest.CaptureFixture[str]) -> None:
    show.show_evaluation(EVALUATION)
    out = captured.readouterr().out
    assert "359 samples" in out
    assert "90% interval" in out
    assert "0.92 to 0.97" in out


def test_a_number_that_json_lacks_becomes_null(captured: pytest.CaptureFixture[str]) -> None:
    output.choose(Mode.json)
    show.show_evaluation(EVALUATION)
    assert json.loads(captured.readouterr().out)["metrics"] == {"accuracy": 0.95, "log_loss": None}


def test_few_records_are_a_table_without_nested_values(captured: pytest.CaptureFixture[str]) -> None:
    show.show_records([{"label": "seven", "confidence": 0.9, "probabilities": [0.1, 0.9]}])
    out = captured.readouterr().out
    assert "label" in out
    assert "seven" in out
    assert "probabilities" not in out


def test_many_records_are_one_json_object_a_line(captured: pytest.CaptureFixture[str]) -> None:
    records = [{"label": str(n)} for n in range(50)]
    show.show_records(records)
    assert [json.loads(line) for line in captured.readouterr().out.splitlines()] == records


def test_records_in_json_are_one_object(captured: pytest.CaptureFixture[str]) -> None:
    output.choose(Mode.json)
    show.show_records([{"label": "ä"}])
    assert json.loads(captured.readouterr().out) == {"predictions": [{"label": "ä"}]}


def test_what_a_record_holds_is_never_read_as_markup(captured: pytest.CaptureFixture[str]) -> None:
    show.show_records([{"label": "[red]a[/red] :smile:"}])
    assert "[red]a[/red] :smile:" in captured.readouterr().out


def failing(model: Artifact) -> None:
    raise CheckError("`export` failed", hint="see why", artifact=model)


def test_a_failed_check_ends_with_exit_code_4_after_the_artifact_was_shown(
    captured: pytest.CaptureFixture[str], make_model: Make
) -> None:
    model = make_model(checks=FAILED)
    assert errors.guarded(lambda: failing(model), []) == 4
    out, err = captured.readouterr()
    assert model.digest[:12] in out
    assert "failed" in out
    assert FAILED[0].detail not in out
    assert err == "error: `export` failed\nhint: see why\n"


@pytest.mark.parametrize("with_reasons", [True, False])
def test_an_error_that_follows_says_the_reason_of_a_failed_check_alone(
    with_reasons: bool, captured: pytest.CaptureFixture[str], make_model: Make
) -> None:
    show.show_artifact(make_model(checks=FAILED), with_reasons=with_reasons)
    assert (FAILED[0].detail in captured.readouterr().out) is with_reasons


def test_metrics_say_on_which_split_they_were_measured(captured: pytest.CaptureFixture[str], make_model: Make) -> None:
    show.show_artifact(make_model())
    assert "\nmeasured on the validation split\nmetric" in captured.readouterr().out


def test_a_failed_check_in_json_is_the_artifact_with_the_error_in_it(
    captured: pytest.CaptureFixture[str], make_model: Make
) -> None:
    model = make_model(checks=FAILED)
    output.choose(Mode.json)
    assert errors.guarded(lambda: failing(model), []) == 4
    shown = json.loads(captured.readouterr().out)
    assert shown["digest"] == model.digest
    assert shown["error"] == {"message": "`export` failed", "hint": "see why", "exit_code": 4}


def test_quiet_talks_only_of_warnings(captured: pytest.CaptureFixture[str]) -> None:
    output.choose(Mode.quiet)
    output.say("chatter")
    output.warn("2 images are damaged")
    assert captured.readouterr().err == "warning: 2 images are damaged\n"


def test_nothing_is_coloured_where_there_is_no_terminal(captured: pytest.CaptureFixture[str], make_model: Make) -> None:
    show.show_artifact(make_model())
    output.show_error("wrong", "mend it")
    out, err = captured.readouterr()
    assert "\x1b" not in out + err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_without_the_symbols_shows_plain_ones(project: Path, make_model: Make, encoding: str) -> None:
    make_model("naive")
    process = subprocess.run(
        [sys.executable, "-m", "mltool", "models", "show", "naive"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    assert process.returncode == 0, process.stderr
    shown = process.stdout.decode(encoding)
    assert ("✓ passed" if encoding == "utf-8" else "+ passed") in shown


def test_json_is_valid_whatever_the_encoding_of_the_terminal(project: Path) -> None:
    (project / "mltool.yaml").write_text("version: 1\nname: größe\n", encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-m", "mltool", "train", "--print-config", "--json"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert json.loads(process.stdout)["config"]["name"] == "größe"


def test_print_config_gives_each_value_its_source(mltool: Mltool, project: Path) -> None:
    (project / "mltool.yaml").write_text("version: 1\ntrain:\n  lr: 0.5\n", encoding="utf-8")
    out = mltool("train", "epochs=7", "--print-config").out
    lines = {line.split(":")[0].strip(): line for line in out.splitlines()}
    assert lines["lr"].endswith("# mltool.yaml:3")
    assert lines["epochs"].endswith("# epochs=7")
    assert lines["optimizer"].endswith("# default")


@pytest.mark.parametrize("verb", [("import",), ("evaluate",), ("predict",), ("data", "add")])
def test_every_verb_with_keys_prints_its_config(mltool: Mltool, verb: tuple[str, ...]) -> None:
    outcome = mltool(*verb, "--print-config", "--json")
    assert outcome.code == 0
    assert "config" in json.loads(outcome.out)


def test_a_dataset_is_added_shown_and_listed(mltool: Mltool) -> None:
    plan = json.loads(mltool("data", "add", "source=penguins", "--dry-run", "--json").out)
    assert plan["num_rows"]["train"] > 0
    assert json.loads(mltool("data", "list", "--json").out) == {"datasets": [], "tracked": []}
    added = json.loads(mltool("data", "add", "source=penguins", "--json").out)
    assert added["ref"] == "penguins@1"
    shown: dict[str, Any] = json.loads(mltool("data", "show", "--json").out)
    assert shown["digest"] == added["digest"]
    assert shown["summary"]["num_rows"] == plan["num_rows"]
    human = mltool("data", "show", "penguins").out
    assert "bill_length_mm" in human
    assert "Gentoo" in human
    assert mltool("data", "show", "-q").out == f"{added['path']}\n"
    assert "penguins@1" in mltool("data", "list").out


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (0.5, 0.75, "+0.25 (+50.0%)"),
        (2.0, 1.0, "-1 (-50.0%)"),
        (1.0, 1.0, "="),
        (0.0, 1.0, "+1"),
        (1.0, 5000.0, "+4,999"),
    ],
)
def test_a_difference_has_its_sign_and_its_share(before: float, after: float, said: str) -> None:
    assert words.difference(before, after) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (42, "42 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")]
)
def test_durations_are_written_for_people(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said
