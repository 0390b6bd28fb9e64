"""The page that tells a whole road: the data, the model, what was tried, what it costs, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mltool.core import units
from mltool.reports.ladder import ladder_plot
from mltool.reports.markup import Html, escape, join, moment, number, prose
from mltool.reports.page import (
    Section,
    badge,
    bullets,
    commands,
    details,
    figures,
    grouped_key_values,
    metric_name,
    page,
    table,
)
from mltool.reports.profile_page import models_table, profile_plots, times_table
from mltool.reports.robustness_page import sentence, silent_table
from mltool.reports.variant_page import candidates_table, checks_table

Result = Mapping[str, Any]
_NUM_METRICS = 2
_OUTCOMES = {"ran": "passed", "unchanged": "passed", "refused": "not_run"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryReport:
    """Everything the page shows, as plain data: what the verbs print with `--json`. Whatever is empty is left out."""

    title: str
    created_utc: str = ""
    data: Result = field(default_factory=dict)
    model: Result = field(default_factory=dict)
    evaluation: Result = field(default_factory=dict)
    variants: Mapping[str, Result] = field(default_factory=dict)
    """By the verb that tried them."""
    profiles: Sequence[Result] = ()
    host: Result = field(default_factory=dict)
    robustness: Result = field(default_factory=dict)
    best: str = ""
    """The model to go on with."""
    steps: Sequence[Result] = ()
    """`name`, `command`, `outcome` (`ran`, `unchanged` or `refused`) and `seconds`."""
    next_commands: Sequence[str] = ()


def story_page(report: StoryReport) -> str:
    """One self-contained HTML document."""
    sections = [
        Section("The road", _road(report)),
        Section("Data", _data(report.data)),
        Section("Model", _model(report)),
        *(Section(_title(verb), _variant(verb, result)) for verb, result in report.variants.items()),
        Section("What it costs", _costs(report.profiles), _costs_note(report.profiles)),
        Section("When the data is damaged", _robustness(report.robustness), _robustness_note(report.robustness)),
        Section("Next", commands(report.next_commands)),
        Section("Commands", _commands(report.steps), "Each step can be run by hand, or all of them by DVC"),
        Section("Host", grouped_key_values(report.host)),
    ]
    made = f", trained {moment(report.created_utc)}" if report.created_utc else ""
    subtitle = f"From the data to a model that is checked, measured and as fast as this machine has it{made}"
    return page(
        report.title, subtitle, sections, lead=_headlines(report), footer=f"{report.title}, made by `mltool run`"
    )


def _headlines(report: StoryReport) -> Html:
    facts = []
    intervals = report.evaluation.get("intervals", {})
    for name, value in list(report.evaluation.get("metrics", {}).items())[:_NUM_METRICS]:
        words, unit = metric_name(name)
        between = " to ".join(number(bound) for bound in intervals.get(name, ()))
        facts.append((words, f"{number(value)} {unit}".strip(), between))
    single = [(one, batch) for one in report.profiles for batch in one["batches"] if batch["batch_size"] == 1]
    if single:
        one, batch = min(single, key=lambda both: float(both[1]["latency_p50_ms"]))
        facts.append(("latency of one sample", f"{number(batch['latency_p50_ms'])} ms", str(one["model"])))
    sizes = {str(one["model"]): one["size_mib"] for one in report.profiles if one.get("size_mib") is not None}
    if sizes:
        least = min(sizes, key=lambda model: float(sizes[model]))
        facts.append(("smallest graph", units.size(sizes[least] * 2**20), least))
    return figures(facts)


def _road(report: StoryReport) -> Html:
    """What each step found, in one sentence, as stations of a line."""
    said = _sentences(report)
    items = []
    for step in report.steps:
        name, seconds = str(step["name"]), step.get("seconds")
        took = f" <span class='muted'>{escape(f'{seconds:.1f} s')}</span>" if seconds is not None else ""
        refused = f" {badge('not_run', 'refused')}" if step["outcome"] == "refused" else ""
        items.append(f"<li><strong>{escape(name)}</strong>{took}{refused}<div>{prose(said.get(name, ''))}</div></li>")
    return Html(f'<ol class="line">{"".join(items)}</ol>') if items else Html("")


def _sentences(report: StoryReport) -> dict[str, str]:
    rows = {
        k.removeprefix("num_rows_"): v for k, v in report.data.get("metrics", {}).items() if k.startswith("num_rows_")
    }
    said = {}
    if rows:
        parts = ", ".join(f"{number(int(num))} {split}" for split, num in rows.items())
        said["data"] = f"`{report.data.get('ref')}`: {number(int(sum(rows.values())))} rows ({parts})"
    checks = report.model.get("checks", [])
    if checks:
        num = sum(check.get("status") == "passed" for check in checks)
        said["train"] = f"`{report.model.get('ref')}`: {num} of {len(checks)} checks passed"
    metrics = report.evaluation.get("metrics", {})
    if metrics:
        name, value = next(iter(metrics.items()))
        said["evaluate"] = (
            f"{metric_name(name)[0]} {number(value)} on {number(report.evaluation.get('num_samples'))} samples "
            f"of the {report.evaluation.get('split')} split"
        )
    said |= {verb: _verdict(verb, result) for verb, result in report.variants.items()}
    if report.profiles:
        models = " and ".join(f"`{one['model']}`" for one in report.profiles)
        said["profile"] = f"{models}, side by side on this machine"
    if report.robustness.get("finding"):
        said["robustness"] = sentence(report.robustness["finding"])
    return said


def _verdict(verb: str, result: Result) -> str:
    """What came of a search for something smaller or faster, in one sentence."""
    candidates = result.get("candidates", [])
    tried = f"{len(candidates) - 1} tried" if len(candidates) > 1 else "nothing to try"
    if "error" in result:
        return f"refused: {result['error'].get('message', '')}"
    if result.get("kept_parent"):
        return f"{tried}, and none pays: `{result.get('ref')}` stays"
    chosen: Result = next((one for one in candidates if one.get("outcome") == "chosen"), {})
    gain = f", {result['speedup']:.2f} times as fast" if result.get("speedup") else ""
    before = next((one.get("size_mib") for one in candidates if one.get("outcome") == "kept"), None)
    size = chosen.get("size_mib")
    smaller = f", {before / size:.1f} times smaller" if before and size and before / size >= 1.1 else ""
    return f"{tried}, and one pays: {chosen.get('name', verb)}{gain}{smaller}; it is `{result.get('ref')}`"


def _title(verb: str) -> str:
    return {"quantize": "In int8", "compile": "Compiled"}.get(verb, verb.capitalize())


def _data(data: Result) -> Html:
    metrics = {
        k.removeprefix("num_rows_"): int(v) for k, v in data.get("metrics", {}).items() if k.startswith("num_rows_")
    }
    if not metrics:
        return Html("")
    rows = table(("split", "rows"), list(metrics.items()), label="Rows of each split")
    return join([rows, details("How it was understood", bullets(data.get("facts", {}).get("notes", ())))])


def _model(report: StoryReport) -> Html:
    intervals, metrics = report.evaluation.get("intervals", {}), report.evaluation.get("metrics", {})
    rows = [(metric_name(name)[0], value, *(intervals.get(name) or (None, None))) for name, value in metrics.items()]
    level = report.evaluation.get("confidence")
    header = ("metric", "value", f"from ({100 * level:g} %)" if level else "from", "to")
    shown = table(header, rows, label="Metrics") if rows else Html("")
    checks = report.model.get("checks", [])
    num = sum(check.get("status") == "passed" for check in checks)
    return join([shown, details(f"{num} of {len(checks)} checks passed", checks_table(checks)) if checks else Html("")])


def _variant(verb: str, result: Result) -> Html:
    said = Html(f"<p>{prose(_capitalised(_verdict(verb, result)))}</p>")
    tried = candidates_table(result["candidates"]) if result.get("candidates") else Html("")
    return join([said, tried])


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _costs(profiles: Sequence[Result]) -> Html:
    if not profiles:
        return Html("")
    return join([profile_plots(profiles), details("All times", times_table(profiles)), models_table(profiles)])


def _costs_note(profiles: Sequence[Result]) -> str:
    if len(profiles) < 2:
        return "Times in new processes that did nothing else"
    return f"Models and batch sizes took turns; the speed-up is against {profiles[0]['model']}"


def _robustness(ladder: Result) -> Html:
    if not ladder.get("rungs"):
        return Html("")
    silent = silent_table(ladder)
    return join(
        [
            Html(f"<p>{escape(sentence(ladder['finding']))}</p>"),
            ladder_plot(ladder),
            join([Html("<h3>Silent and harmful</h3>"), silent]) if silent else "",
        ]
    )


def _robustness_note(ladder: Result) -> str:
    if not ladder.get("rungs"):
        return ""
    return (
        f"{ladder['metric'].capitalize()} that is lost, and the number of requests after which `mltool monitor drift` "
        f"would raise an alarm, on {ladder['num_rows']:,} rows"
    ).replace("`", "")


def _commands(steps: Sequence[Result]) -> Html:
    rows = [(str(step["name"]), Html(f"<code>{escape(step['command'])}</code>"), step.get("seconds")) for step in steps]
    return table(("step", "command", "seconds"), rows, label="Commands") if rows else Html("")
