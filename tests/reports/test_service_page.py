"""The page of a model in service: the newest window first, and nothing where nothing is known."""

from __future__ import annotations

import re
from typing import Any

import pytest
from page_testing import NASTY, check
from test_robustness_page import ladder

from mltool.reports.service_page import MAX_COLUMNS, MAX_WINDOWS, ServiceReport, service_page

DIGEST = "9f3ac1d27be0" + "5" * 52
CREATED = "2026-11-26T08:00:00+00:00"


def column(name: str, *, drifted: bool = False, **changes: Any) -> dict[str, Any]:
    plain = {
        "name": name,
        "kind": "number",
        "drifted": drifted,
        "p_value": 0.0025 if drifted else 0.6,
        "js": 0.42,
        "psi": 0.3,
        "wasserstein_sd": 1.5,
        "missing": 0.0,
        "missing_reference": 0.0,
        "mean": 3.0,
        "mean_reference": 1.0,
    }
    return {**plain, **changes}


def window(*, alarm: bool = False, **changes: Any) -> dict[str, Any]:
    plain = {
        "created_utc": CREATED,
        "source": "200 requests to `shop`",
        "alarm": alarm,
        "alpha": 0.05,
        "p_value": 0.0025 if alarm else 0.4,
        "num_rows": 200,
        "columns": [column("age", drifted=alarm), column("height")],
    }
    return {**plain, **changes}


def stretch(index: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "time_s": 1_700_000_000.0 + 3600 * index,
        "num_requests": 10,
        "num_failed": 1,
        "latency_p50_ms": 2.0,
        "latency_p99_ms": 9.0,
        "classes": {"ant": 6, "bee": 3},
        "confidence": 0.9,
        "prediction": None,
    }
    return {**plain, **changes}


def traffic(**changes: Any) -> dict[str, Any]:
    plain = {
        "first_s": 1_700_000_000.0,
        "last_s": 1_700_000_000.0 + 36_000,
        "num_requests": 100,
        "num_failed": 10,
        "num_answers": 90,
        "latency_ms": {"p50": 2.0, "p90": 5.0, "p99": 9.0},
        "statuses": {"200": 90, "500": 10},
        "classes": {"ant": 60, "bee": 30},
        "stretches": [stretch(index) for index in range(10)],
        "num_labelled": 0,
        "accuracy": None,
    }
    return {**plain, **changes}


DEPLOYMENT: dict[str, Any] = {
    "name": "shop",
    "target": "local",
    "url": "http://127.0.0.1:8000",
    "versions": [
        {"number": 1, "model_ref": None, "model_digest": "ab" * 32, "state": "live", "time_utc": CREATED, "reason": ""}
    ],
    "history": [{"time_utc": CREATED, "event": "deploy", "version": 1, "detail": "up"}],
}


def page(**changes: Any) -> str:
    return service_page(ServiceReport(model="digits@3", digest=DIGEST, created_utc=CREATED, **changes))


def whole(**changes: Any) -> str:
    known = {"drift": [window(alarm=True), window()], "ladder": ladder(), "traffic": traffic()}
    return page(**{**known, "usual_classes": {"ant": 5, "bee": 5}, "deployment": DEPLOYMENT, **changes})


def test_the_page_has_everything_that_is_known_and_is_small() -> None:
    html = whole()
    document = check(html)
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", html)
    assert titles == [
        "Drift", "Columns", "Traffic", "Answers", "Robustness", "Silent and harmful", "Deployment", "Next",
    ]  # fmt: skip
    assert "No sign of drift in the newest window" in document.text
    assert "3 silent and harmful corruptions" in document.text
    assert "mltool monitor drift deployment=shop since=24h" in document.text
    assert len(html) < 300_000


def test_the_newest_window_decides_what_the_page_says_first() -> None:
    assert "The newest window drifted" in whole(drift=[window(), window(alarm=True)])
    (rows,) = re.findall(r'aria-label="Windows">.*?</table>', whole(), re.DOTALL)
    assert rows.index("no alarm") < rows.index(">alarm<"), "the newest is at the top"


def test_only_a_model_that_is_deployed_is_called_in_service() -> None:
    assert "In service, shop, as of " in whole()
    stopped = [{**DEPLOYMENT["versions"][0], "state": "stopped"}]
    assert "Not in service, shop, as of " in whole(deployment={**DEPLOYMENT, "versions": stopped})
    html = whole(deployment=None)
    assert "Not deployed, as of " in html
    assert "in service" not in check(html).text.lower()


def test_nothing_is_said_of_what_is_not_known() -> None:
    html = page()
    document = check(html)
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", html) == ["Next"]
    assert "No window has been looked at yet" in document.text
    assert "No robustness ladder yet" in document.text
    for command in ("monitor drift digits@3 current=FILE", "monitor robustness digits@3", "deploy local digits@3"):
        assert f"mltool {command}" in document.text


def test_many_windows_and_columns_are_cut_and_that_is_said() -> None:
    columns = [column(f"column {i}") for i in range(500)]
    html = whole(drift=[window(columns=columns) for _ in range(MAX_WINDOWS + 5)])
    check(html)
    assert f"The newest {MAX_WINDOWS} of {MAX_WINDOWS + 5} windows" in html
    assert f"{200 - MAX_COLUMNS} that moved less" in html
    assert len(html) < 300_000


def test_gaps_have_columns_only_where_there_are_some() -> None:
    assert "missing before" not in whole()
    assert "missing before" in whole(drift=[window(columns=[column("age", missing=0.2)])])


def test_accuracy_is_shown_once_labels_have_come() -> None:
    assert "labels" not in page(traffic=traffic())
    html = page(traffic=traffic(accuracy=[0.9, 0.8, 0.95], num_labelled=40))
    assert "0.8000 to 0.9500, 40 labels" in html


def test_numbers_are_drawn_instead_of_classes() -> None:
    stretches = [stretch(i, classes={}, confidence=None, prediction=float(i)) for i in range(10)]
    html = page(traffic=traffic(classes={}, stretches=stretches))
    check(html)
    assert "mean prediction" in html
    assert "confidence" not in html


@pytest.mark.parametrize("duration_s", [0.0, 1.5, 300.0, 10_000.0, 500_000.0])
def test_any_length_of_time_can_be_drawn(duration_s: float) -> None:
    first_s = 1_700_000_000.0
    stretches = [stretch(0, time_s=first_s + duration_s * share) for share in (0.25, 0.75)]
    check(page(traffic=traffic(last_s=first_s + duration_s, stretches=stretches)))


def test_a_log_without_answers_is_drawn_all_the_same() -> None:
    empty = stretch(0, num_failed=10, latency_p50_ms=None, latency_p99_ms=None, classes={}, confidence=None)
    changes: dict[str, Any] = {"num_failed": 100, "num_answers": 0, "latency_ms": {}, "classes": {}}
    html = page(traffic=traffic(**changes, statuses={"500": 100}, stretches=[empty]))
    check(html)
    assert "Answers" not in re.findall(r"<h2[^>]*>([^<]+)</h2>", html)


def test_no_text_becomes_markup() -> None:
    names = {"columns": [column(NASTY, drifted=True, kind=NASTY)], "source": NASTY}
    deployment = {
        **DEPLOYMENT,
        "name": NASTY,
        "history": [{"time_utc": "", "event": NASTY, "version": 1, "detail": NASTY}],
    }
    html = service_page(
        ServiceReport(
            model=NASTY,
            digest=NASTY,
            created_utc=CREATED,
            drift=[window(**names)],
            traffic=traffic(classes={NASTY: 3}, statuses={NASTY: 1}),
            usual_classes={NASTY: 4},
            deployment=deployment,
        )
    )
    assert check(html).text.count("<script>alert(") > 8
