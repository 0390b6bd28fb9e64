"""The report of a profile: what models cost side by side, over batch sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mltool.core import units
from mltool.reports.markup import Html, escape, join, number
from mltool.reports.page import Section, commands, figures, grouped_key_values, page, table
from mltool.reports.plots import line_chart

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileReport:
    """Everything the page shows, as plain data."""

    profiles: Sequence[Row]
    """One or more models, the first of which the others are held against; all ran the same batch sizes."""
    config: Mapping[str, Any]
    host: Mapping[str, Any]


def profile_page(report: ProfileReport, digest: str) -> str:
    """One self-contained HTML document.

    Args:
        digest: Of the attestation that the page stands in.
    """
    first, *others = (str(one["model"]) for one in report.profiles)
    title = first if not others else f"{first} against {others[0] if len(others) == 1 else f'{len(others)} others'}"
    subtitle = join(["Profile, ", Html(f'<code title="{escape(digest)}">{escape(digest[:12])}</code>')])
    times = "Milliseconds a call and samples a second"
    if others:
        times += f"; models and batch sizes took turns, and the speed-up is against {first}"
    sections = [
        Section("Over batch sizes", profile_plots(report.profiles)),
        Section("Times", times_table(report.profiles), times),
        Section(
            "Models", models_table(report.profiles), "Memory and load time are of new processes that did nothing else"
        ),
        Section("Configuration", grouped_key_values(report.config)),
        Section("Host", grouped_key_values(report.host)),
        Section("Next", commands(_next(first, others))),
    ]
    return page(title, subtitle, sections, lead=_headlines(report.profiles), footer=f"{title}, {digest}")


def _next(first: str, others: Sequence[str]) -> list[str]:
    return [f"mltool models compare {first} {others[0]}"] if others else [f"mltool compile {first}"]


def _headlines(profiles: Sequence[Row]) -> Html:
    """The best of all models, and whose it is."""
    several = len(profiles) > 1
    cells = [(one, batch) for one in profiles for batch in one["batches"]]
    smallest = min(batch["batch_size"] for _, batch in cells)
    quick = min((c for c in cells if c[1]["batch_size"] == smallest), key=lambda cell: float(cell[1]["latency_p50_ms"]))
    busy = max(cells, key=lambda cell: float(cell[1]["throughput_per_s"]))
    notes = [
        f"{one['model']}, batch of {number(batch['batch_size'])}" if several else f"batch of {batch['batch_size']:,}"
        for one, batch in (quick, busy)
    ]
    facts = [
        ("lowest latency p50" if several else "latency p50", f"{number(quick[1]['latency_p50_ms'])} ms", notes[0]),
        ("most samples a second" if several else "samples a second", number(busy[1]["throughput_per_s"]), notes[1]),
    ]
    for key, name, best in (("size_mib", "graph", "smallest graph"), ("memory_mib", "memory", "least memory")):
        known = [one for one in profiles if one[key] is not None]
        if known:
            least = min(known, key=lambda one: float(one[key]))
            note = str(least["model"]) if several else ""
            facts.append((best if several else name, units.size(least[key] * 2**20), note))
    return figures(facts)


def profile_plots(profiles: Sequence[Row]) -> Html:
    """Latency and throughput over batch sizes; nothing for a single size."""
    sizes = [batch["batch_size"] for batch in profiles[0]["batches"]]
    if len(sizes) < 2:
        return Html("")
    if len(profiles) == 1:
        names = {"p50": "latency_p50_ms", "p90": "latency_p90_ms", "p99": "latency_p99_ms"}
        latencies = {name: _points(profiles[0], key) for name, key in names.items()}
        what = "latency, ms"
    else:
        latencies = {one["model"]: _points(one, "latency_p50_ms") for one in profiles}
        what = "latency p50, ms"
    throughputs = {one["model"]: _points(one, "throughput_per_s") for one in profiles}
    plots = [
        line_chart(latencies, "batch size", what, x_ticks=sizes),
        line_chart(throughputs, "batch size", "samples a second", x_ticks=sizes),
    ]
    return Html(f'<div class="plots">{join(plots)}</div>')


def _points(profile: Row, key: str) -> list[tuple[float, float]]:
    return sorted((batch["batch_size"], batch[key]) for batch in profile["batches"])


def times_table(profiles: Sequence[Row]) -> Html:
    """By batch size, so that the models stand side by side."""
    header = ("batch", "model", "p50", "p90", "p99", "mean", "samples/s", "speed-up", "calls")
    keys = ("latency_p50_ms", "latency_p90_ms", "latency_p99_ms", "latency_mean_ms", "throughput_per_s", "speedup")
    rows = [
        (batch["batch_size"], one["model"], *(batch[key] for key in keys), batch["num_calls"])
        for batches in zip(*(one["batches"] for one in profiles), strict=True)
        for one, batch in zip(profiles, batches, strict=True)
    ]
    if len(profiles) == 1:
        shown = [i for i, name in enumerate(header) if name not in ("model", "speed-up")]
        return table([header[i] for i in shown], [[row[i] for i in shown] for row in rows], label="Times")
    return table(header, rows, label="Times")


def models_table(profiles: Sequence[Row]) -> Html:
    """Size, memory and load time of each model."""
    rows = [
        (
            one["model"],
            one["runs_as"],
            one["size_mib"],
            one["memory_mib"],
            one["load_time_s"],
            Html(f'<code title="{escape(one["digest"])}">{escape(str(one["digest"])[:12])}</code>'),
        )
        for one in profiles
    ]
    return table(("model", "runs as", "graph, MiB", "memory, MiB", "load, s", "digest"), rows, label="Models")
