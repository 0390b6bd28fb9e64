"""The report of a model in service: does its data drift, what would damage cost, and what does it answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mltool.reports.ladder import ladder_plot
from mltool.reports.markup import NOTHING, Html, escape, join, moment, number, percent, prose, shorten
from mltool.reports.page import Section, badge, commands, details, figures, page, share_bar, table
from mltool.reports.plots import line_chart
from mltool.reports.robustness_page import sentence, silent_table
from mltool.reports.traffic import accuracy_in_words, answer_plots, duration, span, statuses, traffic_plots

Row = Mapping[str, Any]
MAX_WINDOWS = 40
MAX_COLUMNS = 15
_MAX_MORE_COLUMNS = 200
_MAX_EVENTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """Everything the page shows, as plain data; whatever is empty is left out."""

    model: str
    digest: str
    created_utc: str
    drift: Sequence[Row] = ()
    """Windows, oldest first, as `Drift.to_json` with `created_utc` and `source`."""
    ladder: Row | None = None
    """As `Ladder.to_json`."""
    traffic: Row | None = None
    """As `Traffic.to_json`."""
    usual_classes: Mapping[str, int] = field(default_factory=dict)
    """How often each class was predicted for the reference."""
    deployment: Row | None = None
    """`name`, `target`, `url`, `versions`, `history`."""


def service_page(report: ServiceReport) -> str:
    """One self-contained HTML document."""
    digest = Html(f'<code title="{escape(report.digest)}">{escape(report.digest[:12])}</code>')
    subtitle = join([f"{_whereabouts(report.deployment)}, as of {moment(report.created_utc)}, ", digest])
    sections = [
        Section("Drift", _windows(report.drift), _drift_note(report.drift)),
        Section(
            "Columns", _columns(report.drift), "Of the newest window: first what drifted, then what moved furthest"
        ),
        *_traffic(report),
        *_robustness(report.ladder),
        Section("Deployment", _deployment(report.deployment)),
        Section("Next", commands(_next(report))),
    ]
    lead = join([_verdict(report), _headlines(report)])
    return page(report.model, subtitle, sections, lead=lead, footer=f"{report.model}, {report.digest}")


def _whereabouts(deployment: Row | None) -> str:
    if deployment is None:
        return "Not deployed"
    is_live = any(version["state"] == "live" for version in deployment["versions"])
    return f"{'In service' if is_live else 'Not in service'}, {deployment['name']}"


def _verdict(report: ServiceReport) -> Html:
    """What to know first, a line a subject."""
    lines: list[Html] = []
    if report.drift:
        newest = report.drift[-1]
        words = "The newest window drifted" if newest["alarm"] else "No sign of drift in the newest window"
        lines.append(
            join([badge("failed" if newest["alarm"] else "passed", words), f", p = {number(newest['p_value'])}"])
        )
    else:
        lines.append(badge("not_run", "No window has been looked at yet"))
    if report.ladder is None:
        lines.append(badge("not_run", "No robustness ladder yet"))
    elif report.ladder["windows"]:
        num_silent = len(report.ladder["silent_and_harmful"])
        words = f"{num_silent} silent and harmful corruptions" if num_silent else "No corruption is silent and harmful"
        lines.append(badge("failed" if num_silent else "passed", words))
    return join(Html(f'<p class="verdict">{line}</p>') for line in lines)


def _headlines(report: ServiceReport) -> Html:
    facts = []
    traffic = report.traffic
    if traffic is not None:
        facts.append(("requests", number(traffic["num_requests"]), duration(traffic)))
        failed = traffic["num_failed"] / traffic["num_requests"]
        facts.append(("failed", percent(failed), f"{traffic['num_failed']:,} requests"))
        if traffic["latency_ms"]:
            p50, p99 = traffic["latency_ms"]["p50"], traffic["latency_ms"]["p99"]
            facts.append(("latency p50", f"{number(p50)} ms", f"p99 {number(p99)} ms"))
        accuracy = accuracy_in_words(traffic)
        if accuracy is not None:
            facts.append(("accuracy", *accuracy))
    if report.drift:
        num_alarms = sum(bool(window["alarm"]) for window in report.drift)
        facts.append(("alarms", number(num_alarms), f"of {len(report.drift)} windows"))
    return figures(facts)


def _drift_note(windows: Sequence[Row]) -> str:
    if not windows:
        return ""
    note = f"An undrifted window raises an alarm with a probability of {percent(windows[-1]['alpha'])}"
    shown = f". The newest {MAX_WINDOWS} of {len(windows)} windows" if len(windows) > MAX_WINDOWS else ""
    return note + shown


def _windows(windows: Sequence[Row]) -> Html:
    if not windows:
        return Html("")
    rows = [
        (
            Html(f'<span class="nowrap">{escape(moment(str(window["created_utc"])))}</span>'),
            badge("failed", "alarm") if window["alarm"] else badge("passed", "no alarm"),
            window["p_value"],
            window["num_rows"],
            ", ".join(shorten(c["name"], 30) for c in _drifted(window)[:3]) or NOTHING,
            prose(str(window["source"]).rstrip(", ")),
        )
        for window in reversed(windows[-MAX_WINDOWS:])
    ]
    header = ("looked at", "verdict", "p", "rows", "columns that drifted", "window")
    parts = [table(header, rows, label="Windows", css="middle")]
    if len(windows) > 1:
        points = [(index + 1, float(window["p_value"])) for index, window in enumerate(windows)]
        alpha = [(x, float(windows[-1]["alpha"])) for x, _ in points]
        chart = line_chart({"p": points, "alarm": alpha}, "window", "p-value", log=True)
        parts.insert(0, Html(f'<div class="plots">{chart}</div>'))
    return join(parts)


def _drifted(window: Row) -> list[Row]:
    return [column for column in window["columns"] if column["drifted"]]


def _columns(windows: Sequence[Row]) -> Html:
    if not windows:
        return Html("")
    columns = windows[-1]["columns"]
    more = columns[MAX_COLUMNS:_MAX_MORE_COLUMNS]
    rest = details(f"{len(more)} that moved less", _column_table(more)) if more else Html("")
    return join([_column_table(columns[:MAX_COLUMNS]), rest])


def _column_table(columns: Sequence[Row]) -> Html:
    has_gaps = any(column["missing"] or column["missing_reference"] for column in columns)
    header = ["column", "kind", "verdict", "p", "distance (JS)", "moved, sd", "mean before", "now"]
    header += ["missing before", "now"] if has_gaps else []
    rows = []
    for column in columns:
        row: list[object] = [shorten(column["name"], 40), column["kind"]]
        row += [badge("failed", "drifted") if column["drifted"] else "", column["p_value"]]
        row += [share_bar(column["js"], f"{column['js']:.2f}"), column["wasserstein_sd"]]
        row += [column["mean_reference"], column["mean"]]
        row += [percent(column[key]) for key in ("missing_reference", "missing")] if has_gaps else []
        rows.append(row)
    return table(header, rows, label="Columns", css="middle")


def _traffic(report: ServiceReport) -> list[Section]:
    traffic = report.traffic
    if traffic is None:
        return []
    note = f"{traffic['num_requests']:,} requests to this model, {span(traffic)}"
    return [
        Section("Traffic", join([traffic_plots(traffic), statuses(traffic)]), note),
        Section("Answers", answer_plots(traffic, report.usual_classes), f"{traffic['num_answers']:,} answered samples"),
    ]


def _robustness(ladder: Row | None) -> list[Section]:
    if ladder is None:
        return []
    silent = silent_table(ladder)
    found = [Section("Robustness", ladder_plot(ladder), sentence(ladder["finding"]))]
    return [*found, Section("Silent and harmful", silent)] if silent else found


def _deployment(deployment: Row | None) -> Html:
    if deployment is None:
        return Html("")
    versions = [
        (
            v["number"],
            v["model_ref"] or str(v["model_digest"])[:12],
            v["state"],
            moment(str(v["time_utc"])),
            v["reason"],
        )
        for v in reversed(deployment["versions"])
    ]
    happened = [
        (moment(str(event["time_utc"])), event["event"], event["version"], event["detail"])
        for event in reversed(deployment["history"][-_MAX_EVENTS:])
    ]
    header = ("version", "model", "state", "deployed", "remarks")
    parts = [Html("<div>"), Html("<h3>Versions</h3>"), table(header, versions, label="Versions"), Html("</div><div>")]
    parts += [Html("<h3>History</h3>"), table(("time", "event", "version", "detail"), happened, label="History")]
    return join([Html('<div class="tables">'), *parts, Html("</div></div>")])


def _next(report: ServiceReport) -> list[str]:
    lines = []
    if report.deployment:
        lines.append(f"mltool monitor drift deployment={report.deployment['name']} since=24h")
    else:
        lines.append(f"mltool monitor drift {report.model} current=FILE")
    if report.ladder is None:
        lines.append(f"mltool monitor robustness {report.model}")
    if not report.deployment:
        lines.append(f"mltool deploy local {report.model}")
    return lines
