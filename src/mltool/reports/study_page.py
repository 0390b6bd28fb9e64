"""The page of a search: how it went, what each key changed, every trial, and the best config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mltool.reports.markup import Html, join, number
from mltool.reports.page import Section, badge, commands, figures, grouped_key_values, page, table
from mltool.reports.study_plots import Axis, Row, curves_plot, history_plot, key_plot

_MAX_ROWS = 500
_BADGES = {"complete": "passed", "pruned": "not_run", "failed": "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReport:
    """Everything the page shows, as plain data."""

    study: str
    metric: str
    """In words, such as `validation accuracy`."""
    minimize: bool
    axes: Sequence[Axis]
    trials: Sequence[Row]
    """From the best to the worst; the first is complete."""
    before: Row | None
    """The trial that had the config as it stood."""
    num_validation: int
    """Samples that every trial was judged on."""
    best_yaml: str
    command: str
    settings: Mapping[str, Any]


def study_page(report: StudyReport) -> str:
    """One self-contained HTML document."""
    in_order = sorted(report.trials, key=lambda trial: int(trial["trial"]))
    best, before = report.trials[0], report.before
    plots = [
        history_plot(in_order, report.metric, minimize=report.minimize),
        curves_plot(in_order, best["trial"], before["trial"] if before else None, report.metric),
    ]
    keys = [key_plot(in_order, axis, report.metric) for axis in report.axes]
    sections = [
        Section("Search", Html(f'<div class="plots">{join(plots)}</div>')),
        Section("Keys", Html(f'<div class="plots">{join(keys)}</div>'), "Rings are trials that were stopped early"),
        Section("Best config", commands([report.best_yaml.strip()])),
        Section("Trials", _trials(report), "From the best to the worst"),
        Section("Settings", grouped_key_values(report.settings)),
        Section("Next", commands([report.command])),
    ]
    title = f"Study {report.study}"
    lower = "lower" if report.minimize else "higher"
    subtitle = f"{report.metric}, {lower} is better, on {report.num_validation:,} samples"
    return page(title, subtitle, sections, lead=_headlines(report), footer=title)


def _headlines(report: StudyReport) -> Html:
    best, before = report.trials[0], report.before
    facts = [(f"best {report.metric}", number(best["value"]), f"trial {best['trial']}")]
    if before is not None:
        same = before["trial"] == best["trial"]
        facts.append(
            ("before the search", number(before["value"]), "the same trial" if same else f"trial {before['trial']}")
        )
    counts = {name: sum(t["outcome"] == name for t in report.trials) for name in ("pruned", "failed")}
    told = [
        f"{counts['pruned']} stopped early" if counts["pruned"] else "",
        f"{counts['failed']} failed" if counts["failed"] else "",
    ]
    facts.append(("trials", number(len(report.trials)), ", ".join(one for one in told if one)))
    return figures(facts)


def _trials(report: StudyReport) -> Html:
    keys = [axis.key for axis in report.axes]
    has_reasons = any(trial["reason"] for trial in report.trials)
    header = ["trial", report.metric, *keys, "epochs", "seconds", "outcome", *(["reason"] if has_reasons else [])]
    rows = [
        [
            trial["trial"],
            trial["value"],
            *(trial["config"][key] for key in keys),
            trial["epochs"],
            trial["seconds"],
            badge(_BADGES[trial["outcome"]], trial["outcome"]),
            *([trial["reason"]] if has_reasons else []),
        ]
        for trial in report.trials[:_MAX_ROWS]
    ]
    shown = table(header, rows, label="Trials")
    left = len(report.trials) - len(rows)
    return join([shown, Html(f'<p class="note">{left:,} more are in the journal</p>') if left else ""])
