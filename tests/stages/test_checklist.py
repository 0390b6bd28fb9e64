"""The audit as a whole: every item of the checklist, by evidence that is read and never run."""

from __future__ import annotations

from pathlib import Path

import test_checklist_project_items
import test_checklist_service_items
from checklist_project import write_whole_project

from mltool.stages.checklist.items import JUDGES
from mltool.stages.checklist.stage import audit
from mltool.stages.checklist.table import ITEMS

OF_PEOPLE = {"access", "description", "understanding", "presentation", "report"}
RECORDED_ONLY = {"quantize", "compile", "model-monitor"}
IN_GIT = {"git", "uploaded"}


def test_a_project_that_did_everything_is_told_so(tmp_path: Path) -> None:
    write_whole_project(tmp_path)
    verdicts = {one.item.id: one.finding.verdict.value for one in audit(tmp_path).judged}
    not_done = {item for item, verdict in verdicts.items() if verdict != "done"}
    assert not_done == OF_PEOPLE | RECORDED_ONLY | IN_GIT


def test_what_only_examples_and_benchmarks_do_is_not_done_by_the_project(tmp_path: Path) -> None:
    files = write_whole_project(tmp_path)
    (tmp_path / "examples").mkdir()
    (tmp_path / "tests/benchmarks").mkdir()
    (tmp_path / "src/corn/api.py").rename(tmp_path / "tests/benchmarks/api.py")
    (tmp_path / "src/corn/drift.py").rename(tmp_path / "examples/drift.py")
    (tmp_path / "conf").rename(tmp_path / "examples/conf")
    for item in ("api", "onnx", "system-metrics", "collect-io", "config"):
        assert files.judge(item).verdict.value == "missing", item
    assert files.judge("drift").verdict.value == "partly"


def test_every_item_has_a_test_that_flips_it() -> None:
    flipped = {item for item, *_ in (*test_checklist_project_items.FLIPS, *test_checklist_service_items.FLIPS)}
    assert flipped | OF_PEOPLE | IN_GIT == {item.id for item in ITEMS} == set(JUDGES)


def test_what_only_people_know_is_asked(tmp_path: Path) -> None:
    files = write_whole_project(tmp_path)
    for item in OF_PEOPLE:
        assert files.judge(item).verdict.value == "ask"
