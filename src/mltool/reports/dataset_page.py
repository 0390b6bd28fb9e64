"""The report of one dataset: what it holds, how it was understood, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mltool.reports.bars import dot_plot, histogram_bars, small_histogram
from mltool.reports.markup import NOTHING, Html, escape, join, moment, number, percent, shorten
from mltool.reports.page import Section, bullets, commands, figures, grouped_key_values, page, share_bar, table
from mltool.reports.pictures import image_grid

# Axes: H height, W width

MAX_COLUMNS = 200
MAX_DAMAGE = 100
MAX_CLASSES_PICTURED = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSummary:
    """One column; a number brings `edges` and `counts`, a category `top`."""

    name: str
    kind: str
    role: str = ""
    """Such as `target`; empty for an input."""
    missing: float = 0.0
    """Share of rows without a value, as a fraction of 1."""
    num_distinct: int | None = None
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None
    edges: Sequence[float] = ()
    counts: Sequence[float] = ()
    top: Sequence[tuple[str, int]] = ()
    """The most frequent values and how often they occur."""
    num_values: int | None = None
    """Values counted in `top` and beyond it; by default those in `top`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """Everything the page shows, as plain data; whatever is empty is left out."""

    title: str
    digest: str
    created_utc: str
    num_rows: Mapping[str, int] = field(default_factory=dict)
    """Rows by split."""
    columns: Sequence[ColumnSummary] = ()
    class_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows by class, by split."""
    samples: Mapping[str, Sequence[NDArray[np.uint8]]] = field(default_factory=dict)
    """Pictures by class, [H,W] or [H,W,3]."""
    notes: Sequence[str] = ()
    """What was understood of the source, one sentence each."""
    damage: Sequence[Mapping[str, Any]] = ()
    """What could not be read or is suspicious; all have the same keys, such as `where`, `problem`, `action`."""
    num_damaged: int | None = None
    """Of which `damage` may list only some; by default its length."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    next_commands: Sequence[str] = ()


def dataset_page(report: DatasetReport) -> str:
    """One self-contained HTML document."""
    num_damaged = len(report.damage) if report.num_damaged is None else report.num_damaged
    shown = min(len(report.damage), MAX_DAMAGE)
    sections = [
        Section("What was understood", bullets(report.notes)),
        Section("Splits", _splits(report)),
        Section("Damage", _damage(report), f"{shown} of {number(num_damaged)} listed" if shown < num_damaged else ""),
        Section("Classes", _classes(report)),
        Section("Target", _target(report)),
        Section("Columns", _columns(report.columns)),
        Section("Samples", _samples(report.samples)),
        Section("Provenance", grouped_key_values(report.provenance)),
        Section("Next", commands(report.next_commands)),
    ]
    digest = Html(f'<code title="{escape(report.digest)}">{escape(report.digest[:12])}</code>')
    subtitle = join([f"Dataset, made {moment(report.created_utc)}, ", digest])
    lead = _headlines(report, num_damaged)
    return page(report.title, subtitle, sections, lead=lead, footer=f"{report.title}, {report.digest}")


def _headlines(report: DatasetReport, num_damaged: int) -> Html:
    classes = {name for counts in report.class_counts.values() for name in counts}
    facts = {"rows": sum(report.num_rows.values()), "columns": len(report.columns), "classes": len(classes)}
    facts = {name: value for name, value in facts.items() if value} | {"damaged": num_damaged}
    return figures((name, number(value), "") for name, value in facts.items())


def _splits(report: DatasetReport) -> Html:
    total = sum(report.num_rows.values())
    rows = [(split, rows, share_bar(rows / total if total else 0.0)) for split, rows in report.num_rows.items()]
    return table(("split", "rows", "share"), rows, label="Splits") if rows else Html("")


def _damage(report: DatasetReport) -> Html:
    if not report.damage:
        return Html("")
    keys = list(dict.fromkeys(key for entry in report.damage for key in entry))
    return table(keys, [[entry.get(key) for key in keys] for entry in report.damage[:MAX_DAMAGE]], label="Damage")


def _classes(report: DatasetReport) -> Html:
    counts = report.class_counts
    names = list(dict.fromkeys(name for by_class in counts.values() for name in by_class))
    if not names:
        return Html("")
    rows = [[name, *(by_class.get(name, 0) for by_class in counts.values())] for name in names]
    plot = dot_plot(counts, "share of each split", title="Class balance")
    listed = table(["class", *counts], rows, label="Rows by class and split")
    if len(names) > 30:
        listed = Html(f"<details><summary>All {len(names)} classes</summary>{listed}</details>")
    return Html(f'<div class="plots">{plot}{listed}</div>')


def _target(report: DatasetReport) -> Html:
    targets = [column for column in report.columns if column.role == "target" and len(column.counts)]
    return join(histogram_bars(list(c.edges), list(c.counts), c.name) for c in targets)


def _columns(columns: Sequence[ColumnSummary]) -> Html:
    if not columns:
        return Html("")
    rows = [
        (c.name, c.kind + (f", {c.role}" if c.role else ""), _missing(c.missing), c.num_distinct, _values(c),
         c.minimum, c.mean, c.maximum)
        for c in columns[:MAX_COLUMNS]
    ]  # fmt: skip
    header = ("column", "kind", "missing", "distinct", "values", "least", "mean", "most")
    used = [i for i in range(len(header)) if any(row[i] is not None for row in rows)]
    parts = [table([header[i] for i in used], [[row[i] for i in used] for row in rows], label="Columns", css="middle")]
    if len(columns) > MAX_COLUMNS:
        parts.append(Html(f'<p class="note">The first {MAX_COLUMNS} of {number(len(columns))} columns</p>'))
    return join(parts)


def _missing(share: float) -> Html:
    css = "muted" if share == 0 else ""
    return Html(f'<span class="{css}">{escape("none" if share == 0 else percent(share))}</span>')


def _values(column: ColumnSummary) -> Html:
    if len(column.counts):
        says = f"{column.name} from {number(column.minimum)} to {number(column.maximum)}"
        return small_histogram(list(column.counts), says)
    total = column.num_values or sum(count for _, count in column.top)
    words = [f"{shorten(value, 24)} ({percent(count / total) if total else count})" for value, count in column.top[:3]]
    left = (column.num_distinct or len(column.top)) - len(words)
    return escape(", ".join(words) + (f", {number(left)} more" if words and left > 0 else "") or NOTHING)


def _samples(samples: Mapping[str, Sequence[NDArray[np.uint8]]]) -> Html:
    pictured = [(name, images) for name, images in samples.items() if len(images)]
    parts = [
        Html(f"<div><h3>{escape(name)}</h3>{image_grid(list(images), [name] * len(images), small=True)}</div>")
        for name, images in pictured[:MAX_CLASSES_PICTURED]
    ]
    if not parts:
        return Html("")
    note = ""
    if len(pictured) > MAX_CLASSES_PICTURED:
        note = f'<p class="note">The first {MAX_CLASSES_PICTURED} of {len(pictured)} classes</p>'
    return Html(f'<div class="groups">{join(parts)}</div>{note}')
