"""The report of one variant: what was tried, what was won, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mltool.reports.markup import Html, escape, number
from mltool.reports.page import Section, badge, commands, figures, grouped_key_values, metric_name, page, table

_OUTCOMES = {"chosen": "passed", "kept": "not_run", "passed": "not_run", "failed": "failed", "error": "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantReport:
    """Everything the page shows, as plain data."""

    title: str
    claim: str
    """How it was made: `quantize` or `compile`."""
    parent: str
    candidates: Sequence[Mapping[str, Any]]
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """The one of them that this variant is, whether it passed or not."""
    checks: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)
    """Before and after, by name."""
    metrics_split: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""


def variant_page(report: VariantReport) -> str:
    """One self-contained HTML document."""
    subtitle = Html(
        f"Variant of {escape(report.parent)} by {escape(report.claim)}, "
        f'<code title="{escape(report.digest)}">{escape(report.digest[:12])}</code>'
    )
    sections = [
        Section("Candidates", candidates_table(report.candidates), "Timed in turns on this host; times are a call"),
        Section("Checks", checks_table(report.checks)),
        Section("Metrics", _metrics(report.metrics), f"Measured on the {report.metrics_split} split"),
        Section("Configuration", grouped_key_values(report.config)),
        Section("Host", grouped_key_values(report.host)),
        Section("Next", commands([f"mltool models compare {report.parent} {report.digest[:12]}"])),
    ]
    return page(
        report.title, subtitle, sections, lead=_headlines(report.chosen), footer=f"{report.title}, {report.digest}"
    )


def _headlines(chosen: Mapping[str, Any]) -> Html:
    facts = [
        ("speed-up", f"{number(chosen['speedup'])} times" if chosen.get("speedup") else "", ""),
        ("latency", f"{number(chosen['latency_ms'])} ms" if chosen.get("latency_ms") else "", ""),
        ("size", f"{number(chosen['size_mib'])} MiB" if chosen.get("size_mib") else "", ""),
    ]
    return figures([fact for fact in facts if fact[1]])


def candidates_table(candidates: Sequence[Mapping[str, Any]]) -> Html:
    """What was tried, with its outcome and why."""
    rows = [
        (
            c["name"],
            badge(_OUTCOMES.get(str(c["outcome"]), "not_run"), str(c["outcome"])),
            c.get("speedup"),
            c.get("latency_ms"),
            c.get("size_mib"),
            c.get("reason") or "",
        )
        for c in candidates
    ]
    return table(("candidate", "outcome", "speed-up", "ms", "MiB", "reason"), rows, label="Candidates")


def checks_table(checks: Sequence[Mapping[str, Any]]) -> Html:
    """Each check with its verdict."""
    rows = [
        (c.get("id", ""), badge(str(c.get("status", ""))), c.get("value"), c.get("limit"), c.get("detail") or "")
        for c in checks
    ]
    return table(("check", "result", "value", "limit", "detail"), rows, label="Checks") if rows else Html("")


def _metrics(metrics: Mapping[str, tuple[float | None, float]]) -> Html:
    rows = [(metric_name(name)[0], before, after) for name, (before, after) in metrics.items()]
    return table(("metric", "before", "after"), rows, label="Metrics") if rows else Html("")
