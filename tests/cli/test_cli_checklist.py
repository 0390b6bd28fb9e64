from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_testing import Mltool

from mltool.cli.app import app
from mltool.stages.checklist.table import ITEMS

TITLES = """
git: a git repository | access: every member can write | environment: a dedicated environment
layout: file structure from a template | make-dataset: a data script that downloads and prepares
model-train: model file and training script that run | requirements: dependencies listed | pep8: good coding practice
typing-docs: typing and documentation of essential parts | data-version: data under version control
cli: command line and project commands | docker: docker files | docker-build: docker files built and working
config: configuration files for experiments | hydra: configuration manager for hyperparameters
profiling: profiling, and optimisation from it | logging: logging of important events | wandb: experiments tracked
sweep: hyperparameter search | lightning: less boilerplate | test-data: tests of the data part
test-model: tests of model construction and training | coverage: coverage calculated | ci: continuous integration
ci-matrix: caching, several systems and versions | ci-lint: lint step | pre-commit: pre-commit hooks
cd-data: workflow when data changes | cd-model: workflow when the registry changes
gcs: data storage on GCP, linked to data versions | build-trigger: images built automatically
train-gcp: model trained on GCP | dist-data: distributed data loading | dist-train: distributed training
quantize: quantization (and pruning) | compile: compilation | api: an inference API
torchserve: deployed locally with TorchServe | onnx: a specialised ML deployment | api-tests: API tests in CI
loadtest: load test | frontend: a frontend | deploy-gcp: deployed on GCP | collect-io: inputs and outputs collected
drift: robustness towards data drift checked | drift-api: drift detection deployed | system-metrics: API instrumented
system-monitor: the system of the deployed model monitored
model-monitor: the performance of the deployed model monitored | alerts: alerts | docs: documentation
docs-pages: documentation, published | diagram: architecture diagram | description: revisit the description
understanding: shared understanding | presentation: presentation | report: report | uploaded: all code on GitHub
"""
ADDED = {
    "cli", "logging", "sweep", "ci-matrix", "ci-lint", "cd-data", "cd-model", "api", "onnx", "api-tests", "loadtest",
    "frontend", "collect-io", "drift-api", "system-metrics", "alerts", "docs", "docs-pages", "diagram",
}  # fmt: skip


def test_the_items_are_those_of_the_checklist() -> None:
    lines = [part.strip() for line in TITLES.strip().splitlines() for part in line.split("|")]
    assert {f"{item.id}: {item.title}" for item in ITEMS} == set(lines)
    assert {item.id for item in ITEMS if item.origin == "N"} == ADDED


def test_what_an_item_needs_is_an_item_before_or_beside_it() -> None:
    ids = {item.id for item in ITEMS}
    assert all(set(item.needs) <= ids - {item.id} for item in ITEMS)


def test_every_command_of_ours_that_an_item_names_is_there() -> None:
    names = {info.name for info in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        names |= {f"{group.name} {info.name}" for info in group.typer_instance.registered_commands}
    for item in ITEMS:
        for part in item.command.split("&&"):
            words = part.split(" > ")[0].split()
            if words[0] == "mltool":
                named = {words[1], " ".join(words[1:3])}
                assert named & names, item.command


def test_an_audit_is_json_with_every_item(mltool: Mltool, project: Path) -> None:
    done = mltool("checklist", "--json")
    body = json.loads(done.out)
    assert (done.code, len(body["items"]), sum(body["counts"].values())) == (0, 58, 58)
    assert all(item[key] for item in body["items"] for key in ("id", "title", "verdict", "evidence", "command"))
    assert {item["verdict"] for item in body["items"]} <= {"done", "partly", "missing", "not_applicable", "ask"}
    assert {item["origin"] for item in body["items"]} == {"original", "later edition"}
    assert next(item["command"] for item in body["items"] if item["id"] == "git") == "git init"
    assert len(body["next"]) == 3
    assert body["project"] == "."


def test_people_see_areas_marks_counts_and_three_next_steps(mltool: Mltool, project: Path) -> None:
    (project / "README.md").write_text("word " * 200)
    (project / "broken.py").write_text("def")
    shown = mltool("checklist")
    assert shown.code == 0
    for word in ("project", "experiments", "tests", "cloud", "scale", "service", "watch", "the end"):
        assert any(line.startswith(word) for line in shown.out.splitlines()), word
    assert "✗ missing" in shown.out
    assert "~ partly" in shown.out
    assert "58 items: 1 partly, " in shown.out
    assert "1 problem: what could not be read proves nothing" in shown.out
    after = shown.out.partition("\nnext\n")[2]
    assert len([line for line in after.splitlines() if line.strip()]) == 3


def test_the_line_at_the_end_says_nothing_that_reads_as_a_result(mltool: Mltool, project: Path) -> None:
    (last,) = [line for line in mltool("checklist").err.splitlines() if "58 items" in line]
    assert last.endswith(" s")


def test_quiet_is_what_is_open(mltool: Mltool, project: Path) -> None:
    lines = mltool("checklist", "-q").out.splitlines()
    assert lines[0] == "git=missing"
    assert all(line.partition("=")[2] in ("missing", "partly") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "error: `nowhere` does not exist\nhint: give the folder of a project"),
        (("file",), "error: `file` is no folder\n"),
        ((".", "."), "error: `.` is one too many\n"),
        (("folder=.",), "error: `folder=.` is a key, but the command reads none\n"),
        (("--fix",), "error: unknown option `--fix`\n"),
    ],
)
def test_a_mistake_is_one_line(mltool: Mltool, project: Path, arguments: tuple[str, ...], message: str) -> None:
    (project / "file").write_text("")
    ended = mltool("checklist", *arguments)
    assert (ended.code, ended.out, message in ended.err) == (2, "", True), ended.err


def test_the_next_steps_are_those_that_most_others_wait_for(mltool: Mltool, project: Path) -> None:
    assert json.loads(mltool("checklist", "--json").out)["next"] == ["make-dataset", "git", "environment"]
