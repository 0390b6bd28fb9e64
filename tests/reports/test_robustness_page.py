"""The page of a robustness ladder: what is silent and harmful comes first."""

from __future__ import annotations

import re
from typing import Any

import pytest
from page_testing import NASTY, check

from mltool.reports.ladder import change, ladder_plot
from mltool.reports.robustness_page import RobustnessReport, robustness_page

DIGEST = "9f3ac1d27be0" + "5" * 52


def rung(corruption: str, severity: int, lost: float, noticed_after: int | None = 25, **changes: Any) -> dict[str, Any]:
    plain = {
        "corruption": corruption,
        "column": "",
        "severity": severity,
        "says": f"amount {severity}",
        "value": 0.9 - lost,
        "lost": lost,
        "interval": [lost - 0.01, lost + 0.01],
        "noticed_after": noticed_after,
    }
    return {**plain, **changes}


def ladder(**changes: Any) -> dict[str, Any]:
    rungs = [rung("gaussian_blur", s, 0.04 * s) for s in range(1, 6)]
    rungs += [rung("dead_column", s, 0.02 * s, None, column="age") for s in range(1, 6)]
    plain = {
        "model": "digits@3",
        "digest": "ab" * 32,
        "split": "test",
        "num_rows": 359,
        "metric": "accuracy",
        "clean": 0.9,
        "rungs": rungs,
        "unseen": [],
        "windows": [10, 25, 200],
        "power": 0.8,
        "alpha": 0.05,
        "false_alarms": 0.05,
        "max_loss": 0.05,
        "mean_retention": 0.87,
        "silent_and_harmful": rungs[7:],
        "finding": "3 of 10 corruptions are silent and harmful: dead column of `age` …",
        "summary": "the worst corruption is …",
    }
    return {**plain, **changes}


def page(**changes: Any) -> str:
    return robustness_page(
        RobustnessReport(ladder=ladder(**changes), config={"alpha": 0.05}, host={"num_cores": 2}, digest=DIGEST)
    )


def test_the_page_leads_with_the_finding_and_lists_what_is_silent() -> None:
    html = page()
    document = check(html)
    assert "3 of 10 corruptions are silent and harmful: dead column of age" in document.text
    assert html.index("Silent and harmful") < html.index('<h2 id="ladder-title">')
    (silent,) = re.findall(r'<section id="silent-and-harmful".*?</section>', html, re.DOTALL)
    assert silent.count("dead column: age") == 3
    assert len(html) < 300_000


def test_every_rung_is_drawn_with_its_loss_and_when_it_is_noticed() -> None:
    drawn = str(ladder_plot(ladder()))
    assert drawn.count('class="none"') == 10
    assert drawn.count('class="silent"') == 3
    assert drawn.count(">&gt;200<") == 5
    assert drawn.count(">25<") == 5
    assert "gaussian blur, amount 5: accuracy 0.7000 instead of 0.9000, noticed within 25 requests" in drawn


def test_without_anything_silent_that_part_is_left_out() -> None:
    html = page(silent_and_harmful=[], finding="each that costs 0.05 accuracy or more is noticed")
    check(html)
    assert 'id="silent-and-harmful"' not in html
    assert "Each that costs 0.05 accuracy or more is noticed" in html


def test_without_a_reference_nothing_is_said_of_noticing() -> None:
    html = page(windows=[], false_alarms=None, silent_and_harmful=[])
    check(html)
    assert "oticed" not in re.sub(r'<p class="verdict">.*?</p>', "", html)


def test_what_drift_does_not_see_is_said() -> None:
    assert "does not see" not in page()
    assert (
        "Drift does not see image, which a deployment logs only with record=all" in check(page(unseen=["image"])).text
    )


def test_without_labels_it_says_what_was_measured() -> None:
    assert "without labels, agreement with the answers to undamaged rows" in page(metric="agreement", split="samples")
    assert "the samples that the model carries" in page(split="samples")


@pytest.mark.parametrize(
    ("lost", "shown"), [(0.0, "0"), (0.004, "0"), (0.126, "\u22120.13"), (-0.03, "+0.03"), (4e4, "\u221210 or more")]
)
def test_a_loss_is_a_change_of_the_metric(lost: float, shown: str) -> None:
    assert change(lost) == shown


def test_a_metric_without_intervals_has_no_columns_for_them() -> None:
    rungs = [rung("jpeg", s, 0.1, interval=None) for s in range(1, 6)]
    html = page(rungs=rungs, silent_and_harmful=[], mean_retention=None, clean=-0.5)
    check(html)
    assert ">from<" not in html
    assert "kept on average" not in html


def test_no_text_of_a_ladder_becomes_markup() -> None:
    rungs = [rung(NASTY, s, 0.1, says=NASTY, column=NASTY) for s in range(1, 6)]
    changes = {"rungs": rungs, "silent_and_harmful": rungs, "model": NASTY, "metric": NASTY, "finding": NASTY}
    assert check(page(**changes, split=NASTY)).text.count("<script>alert(") > 10
