from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mltool.core.errors import ArtifactError, InputError, MltoolError
from mltool.records.labels import LABELS, add_labels, labels


def values(folder: Path) -> dict[str, Any]:
    return {request_id: label.value for request_id, label in labels(folder).items()}


def test_text_and_numbers_stay_what_they_are(tmp_path: Path) -> None:
    given = {
        "a": "cat",
        "b": 3,
        "c": 0.5,
        "d": "3",
        "e": np.int64(4),
        "f": np.float32(0.25),
        "g": np.str_("dog"),
        "h": "",
    }
    assert add_labels(tmp_path, given) == 8
    assert values(tmp_path) == {"a": "cat", "b": 3, "c": 0.5, "d": "3", "e": 4, "f": 0.25, "g": "dog", "h": ""}
    assert {name: type(value) for name, value in values(tmp_path).items()} == {
        "a": str, "b": int, "c": float, "d": str, "e": int, "f": float, "g": str, "h": str,
    }  # fmt: skip


def test_a_label_that_comes_once_more_replaces_the_first(tmp_path: Path) -> None:
    before_s = time.time()
    add_labels(tmp_path, {"a": "cat", "b": "dog"})
    first = labels(tmp_path)["a"]
    assert before_s <= first.time_s <= time.time()
    assert add_labels(tmp_path, [("a", 1), ("a", 2)]) == 2
    assert values(tmp_path) == {"a": 2, "b": "dog"}
    assert labels(tmp_path)["a"].time_s >= first.time_s


def test_labels_may_come_one_by_one(tmp_path: Path) -> None:
    assert add_labels(tmp_path, ((f"request-{number}", number) for number in range(5000))) == 5000
    assert values(tmp_path) == {f"request-{number}": number for number in range(5000)}


def test_no_labels_are_no_error(tmp_path: Path) -> None:
    assert labels(tmp_path / "nowhere") == {}
    assert add_labels(tmp_path, {}) == 0
    assert labels(tmp_path) == {}


@pytest.mark.parametrize("label", [None, float("nan"), float("inf"), [1], b"cat", np.zeros(3), object(), 2**70, 1j])
def test_a_label_that_is_none_is_named_and_none_of_its_company_is_added(tmp_path: Path, label: Any) -> None:
    add_labels(tmp_path, {"kept": 1})
    with pytest.raises(InputError, match="the label of `bad`") as caught:
        add_labels(tmp_path, {"a": 1, "bad": label})
    assert caught.value.exit_code == 1
    assert values(tmp_path) == {"kept": 1}


def test_a_damaged_file_of_labels_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / LABELS).write_bytes(b"no database" * 1000)
    with pytest.raises(ArtifactError, match="is damaged"):
        add_labels(tmp_path, {"a": 1})
    with pytest.raises(ArtifactError, match="cannot be read: it is damaged"):
        labels(tmp_path)


def test_a_file_of_labels_of_a_later_mltool_is_refused(tmp_path: Path) -> None:
    add_labels(tmp_path, {"a": 1})
    with closing(sqlite3.connect(tmp_path / LABELS)) as later:
        later.execute("PRAGMA user_version=2")
    for call in (lambda: add_labels(tmp_path, {"b": 1}), lambda: labels(tmp_path)):
        with pytest.raises(ArtifactError, match="has schema version `2`") as caught:
            call()
        assert caught.value.exit_code == 3


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MltoolError, match="cannot write to"):
        add_labels(tmp_path / "file" / "predictions", {"a": 1})


def test_several_who_bring_labels_at_once_lose_none(tmp_path: Path) -> None:
    def bring(first: int) -> None:
        for number in range(first, first + 50):
            add_labels(tmp_path, {str(number): number})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bring, range(0, 400, 100)))
    assert len(labels(tmp_path)) == 200
