"""The report of one model: does it work, how well, where does it fail, and where does it come from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mltool.reports.bars import histogram
from mltool.reports.confusion import confusion_matrix_plot
from mltool.reports.markup import Html, escape, join, moment, number
from mltool.reports.page import (
    Section,
    badge,
    commands,
    details,
    figures,
    grouped_key_values,
    metric_name,
    page,
    table,
)
from mltool.reports.pictures import image_grid
from mltool.reports.plots import line_chart, reliability_plot, scatter_plot

# Axes: N samples, C classes, H height, W width

WorstSample = tuple[NDArray[np.uint8] | Mapping[str, Any], object, object, float]
"""The input (pixels [H,W] or [H,W,3], or its fields), what was predicted, what it is, and the loss."""

_NUM_HEADLINES = 4
_MAX_FIELDS = 8
_MAX_EPOCHS_LISTED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """Everything the page shows, as plain data; whatever is empty is left out."""

    title: str
    """The model's reference, such as `digits@3`."""
    digest: str
    created_utc: str
    task: str
    """`classification`, `regression` or `custom`."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The most telling first: four of them head the page. Names end in their unit."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    interval_level: float = 0.95
    """Coverage of `intervals`, as a fraction of 1."""
    metrics_split: str = ""
    checks: Sequence[Mapping[str, Any]] = ()
    """`id`, `status` (`passed`, `failed` or `not_run`), `value`, `limit`, `detail`."""
    history: Sequence[Mapping[str, Any]] = ()
    """One row an epoch: `epoch`, losses (names ending in `loss`), `lr`, `seconds`; the rest are metrics."""
    confusion: tuple[ArrayLike, Sequence[str]] | None = None
    """Counts [C,C], rows are what samples are, and the names of the classes."""
    prediction: ArrayLike | None = None
    target: ArrayLike | None = None
    """With `prediction`, the numbers [N] of a regression."""
    reliability: Sequence[Mapping[str, Any]] | None = None
    """Bins as `reliability_plot` takes them."""
    worst_samples: Sequence[WorstSample] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    lineage: Sequence[Mapping[str, Any]] = ()
    """Oldest first: `kind`, `name`, `digest`, `role`."""
    host: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Mapping[str, Any]] = ()
    """The signature: `name`, `dtype`, `shape`."""
    outputs: Sequence[Mapping[str, Any]] = ()
    next_commands: Sequence[str] = ()


def model_page(report: ModelReport) -> str:
    """One self-contained HTML document."""
    sections = [
        Section("Checks", _checks(report)),
        Section("Metrics", _metrics(report)),
        Section("Training", _training(report.history)),
        Section("Errors", _errors(report)),
        Section("Calibration", reliability_plot(report.reliability) if report.reliability else Html("")),
        Section("Worst samples", _worst(report.worst_samples), f"The largest losses{_on_split(report)}"),
        Section("Signature", _signature(report)),
        Section("Lineage", _lineage(report)),
        Section("Configuration", grouped_key_values(report.config)),
        Section("Host", grouped_key_values(report.host)),
        Section("Next", commands(report.next_commands)),
    ]
    subtitle = join([f"{report.task.capitalize()} model, made {moment(report.created_utc)}, ", _digest(report.digest)])
    lead = join([_verdict(report.checks), _headlines(report)])
    return page(report.title, subtitle, sections, lead=lead, footer=f"{report.title}, {report.digest}")


def _digest(digest: object) -> Html:
    return Html(f'<code title="{escape(digest)}">{escape(str(digest)[:12])}</code>')


def _verdict(checks: Sequence[Mapping[str, Any]]) -> Html:
    if not checks:
        return Html("")
    counts = Counter(str(check.get("status", "")) for check in sorted(checks, key=_urgency))
    if counts["passed"] == len(checks):
        words = badge("passed", f"All {len(checks)} checks passed" if len(checks) > 1 else "The check passed")
    else:
        words = join((badge(s, f"{n} {s.replace('_', ' ')}") for s, n in counts.items() if n), " &ensp; ")
    return Html(f'<p class="verdict">{words}</p>')


def _urgency(check: Mapping[str, Any]) -> int:
    return {"failed": 0, "not_run": 1, "passed": 3}.get(str(check.get("status")), 2)


def _headlines(report: ModelReport) -> Html:
    facts = []
    for name, value in list(report.metrics.items())[:_NUM_HEADLINES]:
        words, unit = metric_name(name)
        interval = " to ".join(map(number, report.intervals.get(name, ())))
        facts.append((words, f"{number(value)} {unit}".strip(), interval))
    measured = f"Measured{_on_split(report)}" if report.metrics_split else ""
    level = f"{100 * report.interval_level:g} % intervals" if report.intervals else ""
    words = ", ".join(filter(None, (measured, level)))
    note = Html(f'<p class="note measured">{escape(words)}</p>') if facts and words else Html("")
    return join([figures(facts), note])


def _on_split(report: ModelReport) -> str:
    return f" on the {report.metrics_split} split" if report.metrics_split else ""


def _checks(report: ModelReport) -> Html:
    rows = [
        (c.get("id", ""), badge(str(c.get("status", ""))), c.get("value"), c.get("limit"), c.get("detail") or "")
        for c in sorted(report.checks, key=_urgency)
    ]
    return table(("check", "result", "value", "limit", "detail"), rows, label="Checks") if rows else Html("")


def _metrics(report: ModelReport) -> Html:
    """All of them in a table, unless the headlines have shown them all."""
    if len(report.metrics) <= _NUM_HEADLINES:
        return Html("")
    names = {name: metric_name(name) for name in report.metrics}
    header = ["metric", "value"]
    rows: list[list[object]] = [[names[name][0], value] for name, value in report.metrics.items()]
    if any(unit for _, unit in names.values()):
        header.append("unit")
        rows = [[*row, unit] for row, (_, unit) in zip(rows, names.values(), strict=True)]
    if report.intervals:
        header += ["from", "to"]
        rows = [[*row, *report.intervals.get(n, (None, None))] for n, row in zip(names, rows, strict=True)]
    return table(header, rows, label="Metrics")


def _training(history: Sequence[Mapping[str, Any]]) -> Html:
    if not history:
        return Html("")
    keys = [key for key in dict.fromkeys(key for row in history for key in row) if key != "epoch"]
    curves = {
        key: [(_float(row.get("epoch", i + 1)), _float(row.get(key))) for i, row in enumerate(history)] for key in keys
    }
    # Validation is what counts: it comes first, in the accent colour.
    losses = sorted((key for key in keys if key.endswith("loss")), key=lambda key: not key.startswith("validation"))
    best = min((p for p in curves.get("validation_loss", []) if math.isfinite(p[1])), key=lambda p: p[1], default=None)
    rest = [key for key in keys if key not in losses and key not in ("lr", "seconds") and not key.endswith("_s")]
    shares = [key for key in rest if all(0 <= y <= 1 for _, y in curves[key] if math.isfinite(y))]
    charts = [(losses, "loss")] if losses else []
    charts += [(shares, _common(shares))] if shares else []
    charts += [([key], _common([key])) for key in rest if key not in shares]
    if len({y for _, y in curves.get("lr", [])}) > 1:
        charts.append((["lr"], "learning rate"))
    mark = best[0] if best else None
    plots = join(
        line_chart(
            {_short(k, label): curves[k] for k in group},
            "epoch",
            label,
            mark,
            mark_label="kept",
            log=False if group == ["lr"] else None,  # it falls to 0, which no logarithm shows
        )
        for group, label in charts
    )
    stride = math.ceil(len(history) / _MAX_EPOCHS_LISTED)
    rows = [[row.get("epoch", i + 1), *(row.get(k) for k in keys)] for i, row in enumerate(history)][::stride]
    numbers = table(["epoch", *(key.replace("_", " ") for key in keys)], rows, label="Training history")
    summary = "All numbers" if stride == 1 else f"Numbers, one row in {stride}"
    return join([Html(f'<div class="plots">{plots}</div>'), details(summary, numbers)])


def _short(key: str, label: str) -> str:
    """What tells a line from the others of its chart: `validation` in a chart of losses."""
    words = "learning rate" if key == "lr" else metric_name(key)[0]
    return words.removesuffix(label).removeprefix(label.removesuffix("metric")).strip() or words


def _common(keys: Sequence[str]) -> str:
    names = {key.removeprefix("validation_").removeprefix("train_") for key in keys}
    if len(names) == 1:
        return metric_name(names.pop())[0]
    return "validation metric" if all(key.startswith("validation_") for key in keys) else "metric"


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float | np.number) else math.nan


def _errors(report: ModelReport) -> Html:
    parts = []
    if report.confusion is not None:
        parts.append(confusion_matrix_plot(*report.confusion))
    if report.prediction is not None and report.target is not None:
        prediction = np.asarray(report.prediction, dtype=np.float64).reshape(-1)
        target = np.asarray(report.target, dtype=np.float64).reshape(-1)
        residuals = histogram(prediction - target, "predicted minus actual", title="Distribution of errors")
        parts.append(Html(f'<div class="plots">{scatter_plot(prediction, target)}{residuals}</div>'))
    return join(parts)


def _worst(samples: Sequence[WorstSample]) -> Html:
    pictures = [(s[0], s[1:]) for s in samples if isinstance(s[0], np.ndarray)]
    records = [(s[0], s[1:]) for s in samples if not isinstance(s[0], np.ndarray)]
    parts = []
    if pictures:
        captions = [f"predicted {number(p)}\nactual {number(a)}\nloss {number(loss)}" for _, (p, a, loss) in pictures]
        parts.append(image_grid([image for image, _ in pictures], captions))
    if records:
        fields = list(dict.fromkeys(key for record, _ in records for key in record))
        header = ["predicted", "actual", "loss", *fields[:_MAX_FIELDS]]
        parts.append(
            table(header, [[p, a, loss, *(r.get(f) for f in fields[:_MAX_FIELDS])] for r, (p, a, loss) in records])
        )
        if len(fields) > _MAX_FIELDS:
            parts.append(Html(f'<p class="note">The first {_MAX_FIELDS} of {len(fields)} fields</p>'))
    return join(parts)


def _signature(report: ModelReport) -> Html:
    tensors = [("input", t) for t in report.inputs] + [("output", t) for t in report.outputs]
    rows = [
        (t.get("name", ""), side, t.get("dtype", ""), " \u00d7 ".join(map(str, ("batch", *t.get("shape", ())))))
        for side, t in tensors
    ]
    return table(("name", "side", "type", "shape"), rows, label="Signature") if rows else Html("")


def _lineage(report: ModelReport) -> Html:
    if not report.lineage:
        return Html("")
    items = [
        f"<li><strong>{escape(step.get('name', ''))}</strong> <span class='muted'>{escape(step.get('kind', ''))}"
        f"{escape(', ' + str(step['role']) if step.get('role') else '')}</span> {_digest(step.get('digest', ''))}</li>"
        for step in report.lineage
    ]
    here = f'<li class="here" aria-current="true"><strong>{escape(report.title)}</strong> {_digest(report.digest)}</li>'
    return Html(f'<ol class="line">{"".join(items)}{here}</ol>')
