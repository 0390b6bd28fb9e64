"""A study is of one search only, and goes on with that one only."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from tune_testing import NETWORK, SMALL, merged, points, tune

import mltool
from mltool.artifacts.store import open_store
from mltool.core.errors import ArtifactError, ConfigError, MltoolError
from user_project import Write, project, said, write

__all__ = ["points", "project", "said", "write"]
pytestmark = pytest.mark.xdist_group("tune")


# Studies ------------------------------------------------------------------------------------------------------------


def test_each_search_is_a_study_of_its_own_and_no_name_is_used_twice() -> None:
    assert [tune(trials=1, train={"epochs": 1}).study for _ in range(2)] == ["demo-1", "demo-2"]
    tune(trials=1, study="mine", train={"epochs": 1})
    with pytest.raises(ConfigError, match="there is a study `mine` already"):
        tune(trials=1, study="mine", train={"epochs": 1})


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"model": {"args": {"hidden": 9}}}, "is of another model"),
        ({"train": {"epochs": 3}}, "trains in another way"),
        ({"space": {"lr": "1e-3..1e-2"}}, "searches another space"),
        ({"metric": "loss"}, "is judged by another metric"),
        ({"seed": 5}, "has another seed or pruner"),
        ({"task": {"loss": "cross_entropy"}}, "is of another task"),
    ],
)
def test_a_study_of_another_model_or_space_is_refused(values: dict[str, Any], what: str) -> None:
    first = tune(trials=1, study="mine")
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    with pytest.raises(ConfigError) as caught:
        mltool.tune(**merged(values), trials=2, study="mine", resume=True)
    assert caught.value.message == f"study `mine` {what} than this config, so its trials do not count here"
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before


def test_a_study_of_other_data_or_of_changed_code_is_refused(points: Path, write: Write) -> None:
    write("net.py", NETWORK)
    values = {**SMALL, "model": {"target": "net:Net"}, "study": "mine"}
    mltool.tune(**values, trials=1)
    content = dict(np.load(points))
    np.savez(points, inputs=content["inputs"] + 1, labels=content["labels"])
    with pytest.raises(ConfigError, match="study `mine` is of other data than this config"):
        mltool.tune(**values, trials=2, resume=True)
    np.savez(points, **content)
    code = (
        "import mltool, json, sys\n"
        "try: mltool.tune(**json.loads(sys.argv[1]), trials=2, resume=True)\n"
        "except mltool.errors.ConfigError as error: print(error.message)"
    )
    write("net.py", NETWORK.replace("too wide", "wide"))
    process = subprocess.run([sys.executable, "-c", code, json.dumps(values)], capture_output=True, text=True)
    assert process.stdout.startswith("study `mine` is of another model than this config")


def test_without_a_name_only_a_study_of_the_same_search_is_continued(said: list[str]) -> None:
    first = tune(trials=2)
    other = mltool.tune(**merged({"train": {"epochs": 3}}), trials=1, resume=True)
    assert other.study != first.study
    assert "there is no study with this config, data and code; starting a new one" in said
    same = mltool.tune(**SMALL, trials=3, resume=True)
    assert (same.study, same.trials[:2]) == (first.study, first.trials)


def test_the_best_values_may_be_put_into_the_config_before_a_study_is_continued() -> None:
    tune(trials=2, study="mine", space={"lr": "1e-3..0.1:log"})
    more = mltool.tune(
        **merged({"train": {"lr": 0.05}}), trials=3, study="mine", space={"lr": "1e-3..0.1:log"}, resume=True
    )
    assert len(more.trials) == 3


def test_a_study_that_is_not_there_is_said() -> None:
    with pytest.raises(ArtifactError, match="there is no study `nothing`") as caught:
        tune(study="nothing", resume=True)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("damage", ["garbage in the middle", "study.json", "half a line"])
def test_a_damaged_study_is_one_line_or_mended(damage: str) -> None:
    first = tune(trials=3, study="mine")
    journal = first.folder / "journal.log"
    if damage == "study.json":
        (first.folder / "study.json").write_text("{")
    elif damage == "half a line":  # what a killed process leaves
        with journal.open("a") as stream:
            stream.write('{"op_code":4,"worker')
        assert len(mltool.tune(**SMALL, trials=4, study="mine", resume=True).trials) == 4
        return
    else:
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join([*lines[:4], b"\x00garbage\n", *lines[5:]]))
    with pytest.raises(ArtifactError) as caught:
        mltool.tune(**SMALL, trials=4, study="mine", resume=True)
    assert "\n" not in caught.value.message
    assert "is damaged" in caught.value.message


def test_a_study_that_is_searched_already_is_left_alone(points: Path) -> None:
    first = tune(trials=1, study="mine")
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(first.folder / "search.lock"), ready, leave))
    holder.start()
    try:
        assert ready.wait(60)
        with pytest.raises(MltoolError, match="study `mine` is being searched already"):
            mltool.tune(**SMALL, trials=2, study="mine", resume=True)
    finally:
        leave.set()
        holder.join()


def _hold(path: str, ready: Any, leave: Any) -> None:
    from filelock import FileLock

    with FileLock(path):
        ready.set()
        leave.wait(120)


def test_optuna_itself_can_read_the_study() -> None:
    found = tune(trials=3)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(f"{found.folder}/journal.log"))
    study = optuna.load_study(study_name=None, storage=storage)
    assert len(study.trials) == 3
    assert study.best_value == found.best.value


def test_git_sees_nothing_of_studies() -> None:
    tune(trials=1, train={"epochs": 1})
    assert "studies/" in (open_store().root / ".gitignore").read_text().splitlines()
