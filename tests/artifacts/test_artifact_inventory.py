"""What a store holds: rows, descent and differences say what is really there."""

from __future__ import annotations

import os
from typing import Any

import pytest
from artifact_testing import FILES, commit

from mltool.artifacts.checks import Check
from mltool.artifacts.inventory import Comparison, descent, rows
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store

MODEL = ArtifactKind.model


def test_rows_come_oldest_first_whatever_their_names(store: Store) -> None:
    made = {name: commit(store, name, config={"name": name}) for name in ("ant", "bee", "cat")}
    for name, day in (("ant", 2), ("bee", 3), ("cat", 1)):
        store.refs.add(MODEL, name, made[name].digest, f"2026-01-0{day}T00:00:00+00:00")
    assert [row.label for row in rows(store, MODEL)] == ["cat@1", "ant@1", "bee@1"]


def test_a_row_shows_the_size_and_the_checks_of_its_artifact_whether_it_has_a_name_or_not(store: Store) -> None:
    check = Check.failed("export", "broken")
    made = commit(store, checks=[check])
    (row,) = rows(store, MODEL)
    assert row.size_bytes == made.size_bytes == row.to_json()["size_bytes"] == sum(map(len, FILES.values()))
    assert row.to_json()["checks"] == [check.to_json()]
    assert (row.ref, row.label) == (None, made.digest[:12])


def test_a_file_of_another_length_makes_a_row_damaged(store: Store) -> None:
    weights = commit(store).path / "weights.bin"
    assert rows(store, MODEL)[0].state == "here"
    os.truncate(weights, 7)
    assert rows(store, MODEL)[0].state == "damaged"
    weights.unlink()
    assert rows(store, MODEL)[0].state == "damaged"


def test_an_ancestor_that_is_not_in_the_store_is_told_from_one_that_is(store: Store) -> None:
    data = commit(store, "corn", kind=ArtifactKind.dataset)
    parents = [
        Parent("data", ArtifactKind.dataset, data.digest, "corn@1"),
        Parent("float model", MODEL, "ab" * 32),
    ]
    here, gone = descent(store, commit(store, parents=parents)).ancestors
    assert (here.role, here.label, here.present) == ("data", "corn@1", True)
    assert (gone.role, gone.label, gone.present, gone.parents) == ("float model", "ab" * 6, False, ())


def test_all_metrics_of_both_are_compared_and_one_that_only_one_has_stands_alone(store: Store) -> None:
    first = commit(store, metrics={"accuracy": 0.5, "log_loss": 1.0})
    second = commit(store, config={"a": 2}, metrics={"accuracy": 0.75, "mae": 3.0})
    assert Comparison(first, second).to_json()["metrics"] == {
        "accuracy": {"a": 0.5, "b": 0.75, "difference": 0.25},
        "log_loss": {"a": 1.0, "b": None, "difference": None},
        "mae": {"a": None, "b": 3.0, "difference": None},
    }


def test_values_of_a_config_that_differ_are_named_by_their_whole_path(store: Store) -> None:
    first = commit(store, config={"train": {"lr": 0.1, "by": {"step": 1, "same": 0}}, "old": 1})
    second = commit(store, config={"train": {"lr": 0.2, "by": {"step": 2, "same": 0}}})
    assert Comparison(first, second).to_json()["config"] == {
        "train.lr": {"a": 0.1, "b": 0.2},
        "train.by.step": {"a": 1, "b": 2},
        "old": {"a": 1, "b": None},
    }


@pytest.mark.parametrize(
    ("split", "data", "same"),
    [("test", "a", True), ("validation", "a", False), ("test", "b", False)],
    ids=["all", "split", "data"],
)
def test_metrics_compare_on_one_split_of_the_same_data(store: Store, split: str, data: str, same: bool) -> None:
    def model(number: int, split: str, data: str) -> Any:
        parents = [Parent("data", ArtifactKind.dataset, data * 64)]
        return commit(store, config={"number": number}, parents=parents, facts={"metrics_split": split})

    assert Comparison(model(1, "test", "a"), model(2, split, data)).on_same_data is same
