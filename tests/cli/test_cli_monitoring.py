"""What `mltool monitor drift` shows, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_testing import Mltool

from mltool.artifacts.store import Store
from small_models import linear_model


@pytest.fixture
def windows(store: Store) -> None:
    """A model, a file of rows like its own, and one whose second column moved."""
    linear_model(store)
    rows = np.random.default_rng(4).normal(size=(120, 4)).astype(np.float32)
    np.save("same.npy", rows)
    rows[:, 1] += 3
    np.save("moved.npy", rows)


@pytest.mark.usefixtures("windows")
def test_an_alarm_is_shown_in_a_sentence_and_a_table_and_ends_with_4(mltool: Mltool) -> None:
    outcome = mltool("monitor", "drift", "current=moved.npy")
    assert outcome.code == 4
    lines = outcome.out.splitlines()
    assert lines[0].startswith("✗ drift: `moved.npy` against `linear@1`, p = ")
    assert lines[2].split() == [
        "column", "drifted", "p", "JS", "PSI", "moved", "by", "(sd)", "mean", "before", "now",
    ]  # fmt: skip
    assert lines[3].startswith("x[1]")
    assert "drifted" in lines[3]
    assert "120 rows against 64 of the validation split" in outcome.out
    assert "error" not in outcome.err


@pytest.mark.usefixtures("windows")
def test_a_quiet_window_ends_with_0_and_says_how_weak_the_test_is(mltool: Mltool) -> None:
    outcome = mltool("monitor", "drift", "linear", "current=same.npy")
    assert outcome.code == 0
    assert outcome.out.startswith("✓ no sign of drift: `same.npy` against `linear@1`")
    assert "standard deviations may stay unseen" in outcome.out


@pytest.mark.usefixtures("windows")
def test_json_is_one_object_also_with_an_alarm(mltool: Mltool) -> None:
    outcome = mltool("monitor", "drift", "current=moved.npy", "--json")
    assert outcome.code == 4
    found = json.loads(outcome.out)
    assert found["alarm"] is True
    assert found["p_value"] <= found["alpha"] == 0.05
    assert (found["num_rows"], found["num_reference_rows"]) == (120, 64)
    assert set(found["heads"]) == {"columns", "spread", "missing", "classes"}
    assert found["columns"][0]["name"] == "x[1]"
    assert found["columns"][0]["drifted"] is True
    assert Path(found["attestation"]).is_dir()


@pytest.mark.usefixtures("windows")
def test_quietly_it_is_one_word(mltool: Mltool) -> None:
    assert mltool("monitor", "drift", "current=moved.npy", "-q").out == "alarm\n"
    assert mltool("monitor", "drift", "current=same.npy", "-q").out == "no alarm\n"


@pytest.mark.usefixtures("windows")
def test_the_model_shows_what_was_found_last(mltool: Mltool) -> None:
    mltool("monitor", "drift", "current=same.npy")
    mltool("monitor", "drift", "current=moved.npy")
    shown = mltool("models", "show", "linear").out
    assert shown.count("attestation `drift`") == 1
    assert ", after 1 earlier" in shown
    assert len(json.loads(mltool("models", "show", "linear", "--json").out)["attestations"]) == 2


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "error: there is nothing to look at"),
        (["current=gone.npy"], 1, "error: `gone.npy` does not exist"),
        (["current=same.npy", "alpha=1"], 2, "error: `monitor.alpha` must be at least 0.0005 and at most 0.5, not `1`"),
        (["nobody", "current=same.npy"], 3, "error: there is no model `nobody`"),
        (["deployment=shop"], 3, "error: there is no deployment `shop`"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_its_code(
    mltool: Mltool, arguments: list[str], code: int, message: str
) -> None:
    outcome = mltool("monitor", "drift", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
