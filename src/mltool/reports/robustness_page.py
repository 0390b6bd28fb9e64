"""The report of a robustness ladder: what damage costs a model, and whether anybody would notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mltool.reports.ladder import ladder_plot, noticed, rung_label
from mltool.reports.markup import Html, escape, join, number, percent
from mltool.reports.page import Section, commands, details, figures, grouped_key_values, page, table

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessReport:
    """Everything the page shows, as plain data."""

    ladder: Row
    """As `Ladder.to_json` of the stage: `model`, `metric`, `clean`, `rungs`, `windows`, `finding` and so on."""
    config: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    """Of the attestation that the page stands in."""


def robustness_page(report: RobustnessReport) -> str:
    """One self-contained HTML document."""
    ladder, model = report.ladder, str(report.ladder["model"])
    digest = Html(f'<code title="{escape(report.digest)}">{escape(report.digest[:12])}</code>')
    sections = [
        Section("Silent and harmful", silent_table(ladder), _silent_note(ladder)),
        Section("Ladder", ladder_plot(ladder), _rows_note(ladder)),
        Section("Numbers", details(f"All {len(ladder['rungs'])}", _numbers(ladder, ladder["rungs"]))),
        Section("Configuration", grouped_key_values(report.config)),
        Section("Host", grouped_key_values(report.host)),
        Section("Next", commands([f"mltool deploy local {model}", f"mltool monitor drift {model} current=FILE"])),
    ]
    lead = join([Html(f'<p class="verdict">{escape(sentence(ladder["finding"]))}</p>'), headlines(ladder)])
    return page(model, join(["Robustness, ", digest]), sections, lead=lead, footer=f"{model}, {report.digest}")


def sentence(finding: object) -> str:
    """A finding that stands alone."""
    text = str(finding).replace("`", "")
    return text[:1].upper() + text[1:]


def headlines(ladder: Row) -> Html:
    """The figures of a ladder: without damage, at worst, on average, and what is not noticed."""
    metric, rungs = str(ladder["metric"]), ladder["rungs"]
    worst = max(rungs, key=lambda rung: float(rung["lost"]))
    facts = [
        (f"{metric} without damage", number(ladder["clean"]), f"{ladder['num_rows']:,} rows"),
        (f"{metric} at worst", number(worst["value"]), f"{rung_label(worst)}, {worst['says']}"),
    ]
    if ladder["mean_retention"] is not None:
        facts.append(("kept on average", percent(ladder["mean_retention"]), f"over {len(rungs)} corruptions"))
    if ladder["windows"]:
        facts.append(("silent and harmful", number(len(ladder["silent_and_harmful"])), f"of {len(rungs)} corruptions"))
    return figures(facts)


def silent_table(ladder: Row) -> Html:
    """What costs much and is not noticed; nothing if there is no such thing."""
    silent = ladder["silent_and_harmful"]
    return _numbers({**ladder, "windows": ()}, silent) if silent else Html("")


def _silent_note(ladder: Row) -> str:
    return (
        f"Each costs {ladder['max_loss']:g} {ladder['metric']} or more, and drift does not notice it within "
        f"{ladder['windows'][-1] if ladder['windows'] else 0:,} requests. Labels are what would show it"
    )


def _rows_note(ladder: Row) -> str:
    where = "the samples that the model carries" if ladder["split"] == "samples" else f"the {ladder['split']} split"
    note = f"Measured on {ladder['num_rows']:,} rows of {where}"
    if ladder["metric"] == "agreement":
        note += "; without labels, agreement with the answers to undamaged rows"
    if ladder["windows"]:
        note += (
            f". Noticed: drift raises an alarm in {percent(ladder['power'])} of the windows of that size, "
            f"at a false-alarm rate of {percent(ladder['alpha'])}; in undamaged windows of "
            f"{ladder['windows'][-1]:,} requests it did so in {percent(ladder['false_alarms'])}"
        )
        if ladder["unseen"]:
            note += f". Drift does not see {', '.join(ladder['unseen'])}, which a deployment logs only with record=all"
    return note


def _numbers(ladder: Row, rungs: Sequence[Row]) -> Html:
    header = ["corruption", "severity", "how much", str(ladder["metric"]), "lost"]
    has_intervals = any(rung["interval"] for rung in rungs)
    header += ["from", "to"] if has_intervals else []
    header += ["noticed"] if ladder["windows"] else []
    rows = []
    for rung in rungs:
        row: list[object] = [rung_label(rung), rung["severity"], rung["says"], rung["value"], rung["lost"]]
        row += (rung["interval"] or (None, None)) if has_intervals else ()
        row += [noticed(rung, ladder["windows"])] if ladder["windows"] else []
        rows.append(row)
    return table(header, rows, label="Rungs")
