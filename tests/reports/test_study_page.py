"""The page of a search: the best at its head, every trial in its table, a plot for each key."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from page_testing import NASTY, check

from mltool.reports.study_page import StudyReport, study_page
from mltool.reports.study_plots import Axis, curves_plot, history_plot, key_plot


def trial(number: int, value: float | None, outcome: str = "complete", **changes: Any) -> dict[str, Any]:
    curve = [] if value is None else [value / 2, value]
    config = {"lr": 10.0 ** -(1 + number % 3), "optimizer": ("adamw", "sgd")[number % 2]}
    whole = {"trial": number, "outcome": outcome, "value": value, "config": config, "curve": curve}
    return {**whole, "epochs": len(curve), "seconds": 1.5, "reason": "", **changes}


BEST, WORSE, PRUNED = trial(2, 0.9), trial(0, 0.8), trial(1, 0.3, "pruned")
FAILED = trial(3, None, "failed", reason="the loss became nan")
AXES = (Axis("lr", 1e-4, 1e-1, log=True), Axis("optimizer", options=("adamw", "sgd")))


def report(*trials: dict[str, Any], **changes: Any) -> StudyReport:
    whole: dict[str, Any] = {
        "study": "demo-1", "metric": "validation accuracy", "minimize": False, "axes": AXES,
        "trials": trials or (BEST, WORSE, PRUNED, FAILED), "before": WORSE, "num_validation": 270,
        "best_yaml": "version: 1\ntrain:\n  lr: 0.001\n", "command": "mltool train lr=0.001",
        "settings": {"search": {"trials": 4}},
    }  # fmt: skip
    return StudyReport(**{**whole, **changes})


def headlines(html: str) -> dict[str, tuple[str, str]]:
    (head,) = re.findall(r'<dl class="figures">.*?</dl>', html, re.DOTALL)
    found = re.findall(r"<dt>([^<]*)(?:<span>([^<]*)</span>)?</dt><dd>([^<]*)</dd>", head)
    return {name: (shown, note) for name, note, shown in found}


def test_the_head_has_the_best_value_and_the_one_before_the_search() -> None:
    assert headlines(study_page(report())) == {
        "best validation accuracy": ("0.9000", "trial 2"),
        "before the search": ("0.8000", "trial 0"),
        "trials": ("4", "1 stopped early, 1 failed"),
    }
    assert headlines(study_page(report(before=BEST)))["before the search"] == ("0.9000", "the same trial")
    assert "before the search" not in headlines(study_page(report(before=None)))


def test_every_trial_is_a_row_with_its_values_and_its_reason() -> None:
    document = check(study_page(report()))
    for word in ("the loss became nan", "adamw", "pruned", "failed", "mltool train lr=0.001", "on 270 samples"):
        assert word in document.text
    assert "reason" not in check(study_page(report(BEST, WORSE))).text


@pytest.mark.parametrize("name", ["study", "metric", "best_yaml", "command"])
def test_whatever_a_text_holds_the_page_stays_a_page(name: str) -> None:
    check(study_page(report(**{name: NASTY})))


def test_names_of_options_and_keys_are_escaped() -> None:
    row = trial(0, 0.5, config={NASTY: NASTY}, reason=NASTY)
    check(study_page(report(row, axes=(Axis(NASTY, options=(NASTY, "b")),), before=None)))


def test_one_trial_and_odd_values_are_drawn() -> None:
    check(study_page(report(BEST, before=None)))
    huge = [trial(n, value) for n, value in enumerate((1e-300, 1e300, -1e300, 0.0))]
    check(study_page(report(*huge, before=None)))
    assert "nothing to draw" in history_plot([FAILED], "loss", minimize=True)
    assert "nothing to draw" in key_plot([trial(0, math.inf)], AXES[0], "loss")


def test_the_line_is_the_best_so_far_in_the_order_of_the_trials() -> None:
    trials = [trial(0, 0.5), trial(1, 0.2), trial(2, 0.9, "pruned"), trial(3, 0.7)]
    up = re.search(r'class="line" d="([^"]*)"', history_plot(trials, "accuracy", minimize=False))
    down = re.search(r'class="line" d="([^"]*)"', history_plot(trials, "loss", minimize=True))
    assert up is not None
    assert down is not None
    heights = [float(height) for height in re.findall(r"[ V]([\d.]+)", up[1])]
    assert heights[0] == heights[1] > heights[2]  # 0.5, 0.5, 0.7: the pruned 0.9 does not count
    heights = [float(height) for height in re.findall(r"[ V]([\d.]+)", down[1])]
    assert heights[0] < heights[1] == heights[2]


def test_curves_of_one_epoch_are_no_plot() -> None:
    assert curves_plot([trial(0, 0.5, curve=[0.5])], 0, None, "accuracy") == ""
    assert "Bold: trial 2, the best; dashed: trial 0" in curves_plot([BEST, WORSE, PRUNED], 2, 0, "accuracy")


def test_choices_stand_apart_by_their_names() -> None:
    plot = key_plot([BEST, WORSE, PRUNED], AXES[1], "accuracy")
    assert ">adamw</text>" in plot
    assert ">sgd</text>" in plot
    places = [float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', plot)]
    assert places[0] != places[1]
