"""What documents, scripts and people rely on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import mltool
from mltool.cli.app import app, run
from mltool.cli.arguments import keys_of
from mltool.cli.help import PANELS
from mltool.core.config.settings import SECTIONS
from mltool.verbs import data, deploy, gcp, models, monitor
from mltool.verbs.jobs import JOBS

COMMAND_OF_VERB = {
    "checklist": "checklist",
    "compile_model": "compile",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "import_model": "import",
    "load": "models show",
    "predict": "predict",
    "profile": "profile",
    "quantize": "quantize",
    "run": "run",
    "serve": "serve",
    "train": "train",
    "tune": "tune",
}
FROM_PYTHON_ONLY = {"Model", "errors", "save"}
GROUPS = {"data": data, "deploy": deploy, "gcp": gcp, "models": models, "monitor": monitor}
MODE_OF_A_COMMAND = {
    "data in_remote", "data load", "data page", "data plan", "data plan_push", "data tracked", "deploy plan_docker",
    "deploy plan_gcp", "deploy plan_local", "deploy plan_rollback", "deploy plan_stop", "models garbage",
}  # fmt: skip
"""What `--open`, `--ask` or `--dry-run` does, or what a command does first."""


def commands(group: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example_of_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) == 0
    shown, err = capsys.readouterr()
    assert err == ""
    assert COMMANDS[name].help
    assert f"  mltool {name}" in shown.partition("example")[2]
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("name", JOBS)
def test_every_command_with_keys_says_how_to_see_them_all(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) == 0
    assert f"  mltool {name} --print-config" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json_and_can_be_quiet(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--json", "--quiet", "-q"} <= options


def test_the_help_shows_the_groups_in_the_order_of_the_road(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    without_arguments = capsys.readouterr().out
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == without_arguments
    headings = [line for line in without_arguments.splitlines() if line in PANELS]
    assert headings == list(PANELS)


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_group_without_a_command_shows_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([group]) == 0
    assert f"Usage: mltool {group}" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from mltool.core.version import version

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"mltool {version()}\n"


def test_every_public_verb_has_its_command() -> None:
    assert set(mltool.__all__) - FROM_PYTHON_ONLY == {*COMMAND_OF_VERB, *GROUPS}
    assert set(COMMAND_OF_VERB.values()) <= set(COMMANDS)


@pytest.mark.parametrize("group", GROUPS)
def test_the_verbs_of_a_group_have_the_names_of_its_commands(group: str) -> None:
    verbs = {f"{group} {name}" for name in GROUPS[group].__all__} - MODE_OF_A_COMMAND
    assert verbs == {name for name in COMMANDS if name.startswith(f"{group} ")}


def test_every_verb_with_a_config_has_its_command() -> None:
    assert set(JOBS) <= set(COMMANDS)


def test_the_sections_of_a_config_are_those_of_the_verbs() -> None:
    sections = {key.name.partition(".")[0] for verb in JOBS for key in keys_of(verb) if "." in key.name}
    assert sections == set(SECTIONS)


@pytest.mark.parametrize("verb", JOBS)
def test_no_key_is_named_like_a_section(verb: str) -> None:
    assert not {key.name.rpartition(".")[2] for key in keys_of(verb)} & set(SECTIONS)


@pytest.mark.parametrize("verb", JOBS)
def test_the_section_of_a_verb_is_one_of_its_own(verb: str) -> None:
    job, own = JOBS[verb]
    assert own in {"", *(field.name for field in dataclasses.fields(job))}
