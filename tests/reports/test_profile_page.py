"""The page of a profile: the best of all at its head, every time in its table."""

from __future__ import annotations

import re
from typing import Any

import pytest
from page_testing import NASTY, check

from mltool.reports.profile_page import ProfileReport, profile_page

DIGEST = "9f3ac1d27be0" + "5" * 52


def profile(model: str, latency_ms: float, *, sizes: tuple[int, ...] = (1, 32), **changes: Any) -> dict[str, Any]:
    batches = [
        {
            "batch_size": size,
            "num_calls": 70,
            "latency_p50_ms": latency_ms * size,
            "latency_p90_ms": latency_ms * size * 1.5,
            "latency_p99_ms": latency_ms * size * 2,
            "latency_mean_ms": latency_ms * size,
            "throughput_per_s": 1000 / latency_ms,
            "speedup": 8 / latency_ms,
        }
        for size in sizes
    ]
    whole = {"digest": "ab" * 32, "runs_as": "onnxruntime fp32, all cores", "size_mib": 0.5, "memory_mib": 60.0}
    return {"model": model, **whole, "load_time_s": 0.25, "batches": batches, **changes}


def page(*profiles: dict[str, Any]) -> str:
    return profile_page(ProfileReport(profiles=profiles, config={"duration_s": 1.0}, host={"num_cores": 2}), DIGEST)


SLOW, QUICK = profile("slow@1", 8.0), profile("quick@2", 2.0, size_mib=3.0, memory_mib=90.0)


def headlines(html: str) -> dict[str, tuple[str, str]]:
    (head,) = re.findall(r'<dl class="figures">.*?</dl>', html, re.DOTALL)
    found = re.findall(r"<dt>([^<]*)(?:<span>([^<]*)</span>)?</dt><dd>([^<]*)</dd>", head)
    return {name: (shown, note) for name, note, shown in found}


def test_the_head_of_one_model_has_its_own_figures() -> None:
    assert headlines(page(QUICK)) == {
        "latency p50": ("2.000 ms", "batch of 1"),
        "samples a second": ("500.0", "batch of 1"),
        "graph": ("3.0 MiB", ""),
        "memory": ("90.0 MiB", ""),
    }


def test_the_head_of_several_models_says_whose_the_best_figures_are() -> None:
    assert headlines(page(SLOW, QUICK)) == {
        "lowest latency p50": ("2.000 ms", "quick@2, batch of 1"),
        "most samples a second": ("500.0", "quick@2, batch of 1"),
        "smallest graph": ("512.0 KiB", "slow@1"),
        "least memory": ("60.0 MiB", "slow@1"),
    }


def test_models_stand_side_by_side_for_each_batch_size() -> None:
    html = page(SLOW, QUICK, profile("other@1", 4.0))
    check(html)
    assert "<h1>slow@1 against 2 others</h1>" in html
    (times,) = re.findall(r'aria-label="Times">.*?</table>', html, re.DOTALL)
    cells = [re.findall(r">([^<>]+)</t[hd]>", row) for row in times.split("<tr>")[2:]]
    assert [row[:2] for row in cells] == [
        [size, name] for size in ("1", "32") for name in ("slow@1", "quick@2", "other@1")
    ]
    assert cells[4] == ["32", "quick@2", "64.00", "96.00", "128.0", "64.00", "500.0", "4.000", "70"]
    assert html.count("<svg") == 2
    assert "mltool models compare slow@1 quick@2" in html


def test_one_model_has_its_percentiles_drawn_and_no_speed_up() -> None:
    html = page(QUICK)
    check(html)
    assert "<h1>quick@2</h1>" in html
    assert [name for name in ("p50", "p90", "p99") if re.search(rf'class="name s\d">{name}<', html)] == [
        "p50", "p90", "p99",
    ]  # fmt: skip
    assert "speed-up" not in html
    assert "mltool compile quick@2" in html


@pytest.mark.parametrize("missing", ["size_mib", "memory_mib"])
def test_what_is_not_known_is_left_out(missing: str) -> None:
    html = page(profile("odd@1", 1.0, **{missing: None}))
    check(html)
    assert len(headlines(html)) == 3


def test_one_batch_size_is_not_drawn() -> None:
    html = page(profile("slow@1", 8.0, sizes=(4,)), profile("quick@2", 2.0, sizes=(4,)))
    check(html)
    assert "<svg" not in html


def test_no_text_of_a_profile_becomes_markup() -> None:
    nasty = profile(NASTY, 1.0, runs_as=NASTY, digest=NASTY)
    report = ProfileReport(profiles=[nasty, nasty], config={NASTY: NASTY}, host={NASTY: NASTY})
    assert check(profile_page(report, NASTY)).text.count("<script>alert(") > 10
