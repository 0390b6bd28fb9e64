"""The page of a road: each part is told where its step has a result, and left out where it has none."""

from __future__ import annotations

from typing import Any

import pytest
from page_testing import NASTY, check

from mltool.reports.story_page import StoryReport, story_page

KEPT = {"name": "onnxruntime fp32", "outcome": "kept", "speedup": 1.0, "latency_ms": 0.2, "size_mib": 4.0, "reason": ""}
TWIN = {**KEPT, "name": "onnxruntime int8", "outcome": "chosen", "speedup": 2.0, "size_mib": 1.0}
BATCH = {
    "batch_size": 1, "num_calls": 70, "latency_p50_ms": 0.25, "latency_p90_ms": 0.5, "latency_p99_ms": 0.75,
    "latency_mean_ms": 0.3, "throughput_per_s": 4000.0, "speedup": 1.0,
}  # fmt: skip
RUNG = {
    "corruption": "occlusion", "column": "", "severity": 1, "says": "a tenth", "value": 0.8, "lost": 0.1,
    "interval": None, "noticed_after": None,
}  # fmt: skip


def profile(model: str, latency_ms: float) -> dict[str, Any]:
    whole = {"digest": "ab" * 32, "runs_as": "onnxruntime", "size_mib": 0.5, "memory_mib": 60.0, "load_time_s": 0.2}
    return {"model": model, **whole, "batches": [{**BATCH, "latency_p50_ms": latency_ms}]}


def report(**changes: Any) -> StoryReport:
    whole: dict[str, Any] = {
        "title": "corn: the whole road",
        "created_utc": "2026-11-26T08:00:00+00:00",
        "data": {"ref": "corn@1", "metrics": {"num_rows_train": 80.0, "num_rows_test": 20.0}},
        "model": {"ref": "corn@1", "checks": [{"id": "export", "status": "passed"}, {"id": "x", "status": "not_run"}]},
        "evaluation": {
            "model": "corn@1", "split": "test", "num_samples": 20, "metrics": {"accuracy": 0.9},
            "intervals": {"accuracy": [0.7, 0.97]}, "confidence": 0.95,
        },
        "variants": {"quantize": {"ref": "corn@2", "candidates": [KEPT, TWIN], "speedup": 2.0, "kept_parent": False}},
        "profiles": [profile("corn@1", 0.5), profile("corn@2", 0.25)],
        "host": {"cpu": "some"},
        "robustness": {
            "metric": "accuracy", "clean": 0.9, "num_rows": 20, "rungs": [RUNG], "windows": [25], "max_loss": 0.05,
            "finding": "one is silent", "silent_and_harmful": [RUNG],
        },
        "steps": [{"name": "train", "command": "mltool train --json", "outcome": "ran", "seconds": 12.34}],
        "next_commands": ["mltool deploy local corn@2"],
    }  # fmt: skip
    return StoryReport(**{**whole, **changes})


def test_the_page_tells_every_part() -> None:
    html = story_page(report())
    text = check(html).text
    for words in (
        "corn: the whole road", "0.7000 to 0.9700", "0.2500 ms", "12.3 s", "1 of 2 checks passed",
        "1 tried, and one pays: onnxruntime int8, 2.00 times as fast, 4.0 times smaller; it is corn@2",
        "One is silent", "Silent and harmful", "mltool deploy local corn@2", "mltool train --json",
    ):  # fmt: skip
        assert words in text


def test_a_road_that_was_hardly_begun_has_a_page() -> None:
    html = story_page(StoryReport(title="corn"))
    assert "<section" not in html
    check(html)


@pytest.mark.parametrize("part", ["data", "model", "evaluation", "variants", "profiles", "robustness", "steps", "host"])
def test_each_part_may_be_missing(part: str) -> None:
    check(story_page(report(**{part: type(getattr(report(), part))()})))


def test_what_does_not_pay_and_what_was_refused_is_said() -> None:
    stays = {"ref": "corn@1", "candidates": [KEPT, {**TWIN, "outcome": "passed"}], "speedup": 1.0, "kept_parent": True}
    refused = {"error": {"message": "accuracy fell by 0.1"}, "candidates": [KEPT, {**TWIN, "outcome": "failed"}]}
    text = check(story_page(report(variants={"compile": stays, "quantize": refused}))).text
    assert "1 tried, and none pays: corn@1 stays" in text
    assert "Refused: accuracy fell by 0.1" in text


def test_names_of_somebody_else_stay_text() -> None:
    hostile = {"ref": NASTY, "metrics": {"num_rows_train": 1.0}, "facts": {"notes": [NASTY]}}
    step = {"name": NASTY, "command": NASTY, "outcome": "refused", "seconds": None}
    variant = {"ref": NASTY, "candidates": [{**TWIN, "name": NASTY}], "error": {"message": NASTY}}
    html = story_page(report(title=NASTY, data=hostile, steps=[step], variants={NASTY: variant}, next_commands=[NASTY]))
    assert "<script>alert" not in html
    check(html)
