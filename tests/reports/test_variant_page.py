"""The page of a variant: what was tried, and the figures of the one that was taken."""

from __future__ import annotations

import re
from typing import Any

from page_testing import NASTY, check

from mltool.reports.variant_page import VariantReport, variant_page


def tried(name: str, outcome: str, speedup: float | None) -> dict[str, Any]:
    return {"name": name, "outcome": outcome, "speedup": speedup, "latency_ms": 0.25, "size_mib": 0.5, "reason": ""}


KEPT, FAILED, CHOSEN = tried("today", "kept", 1.0), tried("int8", "failed", 9.0), tried("threads", "chosen", 3.0)
DIGEST = "9f3ac1d27be0" + "5" * 52


def report(chosen: dict[str, Any]) -> VariantReport:
    return VariantReport(
        title="corn",
        claim="compile",
        parent="corn@1",
        digest=DIGEST,
        candidates=[KEPT, FAILED, CHOSEN],
        chosen=chosen,
    )


def test_the_figures_at_the_head_are_those_of_the_one_that_was_taken() -> None:
    for chosen, shown in ((CHOSEN, "3.000 times"), (FAILED, "9.000 times")):
        html = variant_page(report(chosen))
        check(html)
        (head,) = re.findall(r'<dl class="figures">.*?</dl>', html, re.DOTALL)
        assert re.findall("[0-9.]+ times", head) == [shown]


def test_every_candidate_is_listed_with_its_outcome() -> None:
    text = check(variant_page(report(CHOSEN))).text
    for name, outcome in (("today", "kept"), ("int8", "failed"), ("threads", "chosen")):
        assert re.search(rf"{name}\W{{0,3}}{outcome}", text)


def test_the_next_command_compares_with_this_very_variant() -> None:
    assert f"mltool models compare corn@1 {DIGEST[:12]}" in check(variant_page(report(CHOSEN))).text


def test_no_text_of_a_variant_report_becomes_markup() -> None:
    bad = {**tried(NASTY, NASTY, None), "reason": NASTY}
    page = variant_page(
        VariantReport(
            title=NASTY,
            claim=NASTY,
            parent=NASTY,
            digest=NASTY,
            candidates=[bad],
            chosen=bad,
            checks=[{"id": NASTY, "status": NASTY, "detail": NASTY}],
            metrics={NASTY: (None, 1.0)},
            metrics_split=NASTY,
            config={NASTY: NASTY},
        )
    )
    assert check(page).text.count("<script>alert(") > 10
