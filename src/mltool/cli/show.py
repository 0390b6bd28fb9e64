"""What each kind of result looks like, in each mode."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mltool.artifacts import digest
from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.checks import Check, any_failed
from mltool.artifacts.manifest import ArtifactKind
from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.core import units

if TYPE_CHECKING:
    from mltool.core.config.load import Resolved
    from mltool.stages.evaluate.stage import Evaluation

_FEW_RECORDS = 20


def show_made(artifact: Artifact, *, and_open: bool = False) -> None:
    """Show what a verb made, and its report if that is asked for."""
    show_artifact(artifact)
    if and_open:
        open_report(artifact)


def show_artifact(artifact: Artifact, extra: dict[str, Any] | None = None, *, with_reasons: bool = True) -> None:
    """Show an artifact.

    Args:
        extra: What `--json` holds beside the artifact.
        with_reasons: Why checks failed; an error that follows says it already.
    """
    if output.mode() is Mode.json:
        output.write_json({**artifact.to_json(), **(extra or {})})
    elif output.mode() is Mode.quiet:
        output.write(str(artifact.path))
    else:
        _draw_artifact(artifact, with_reasons=with_reasons)


def _draw_artifact(artifact: Artifact, *, with_reasons: bool) -> None:
    _draw_head(artifact)
    facts = artifact.manifest.facts
    if artifact.metrics:
        split = facts.get("metrics_split")
        output.write(f"\nmeasured on the {split} split" if split else "")
        draw_metrics(artifact.metrics, facts.get("intervals"), facts.get("confidence"))
    if artifact.checks:
        output.write("")
        checks = artifact.checks
        draw_checks(checks if with_reasons else [replace(c, detail="") if any_failed([c]) else c for c in checks])
    _draw_tail(artifact, _next(artifact))


def _draw_head(artifact: Artifact) -> None:
    made = words.day(artifact.manifest.created_utc)
    parts = [artifact.kind.value, units.size(artifact.size_bytes), f"made {made} UTC"]
    if artifact.ref:
        parts.append(f"digest {artifact.digest[: digest.SHORT]}")
    output.write(f"{output.paint(artifact.label, 'bold', sys.stdout)}  {', '.join(parts)}")


def _draw_tail(artifact: Artifact, commands: Sequence[str]) -> None:
    output.write(f"\npath    {output.relative(artifact.path)}")
    if (artifact.path / REPORT).is_file():
        output.write(f"report  {output.relative(artifact.path / REPORT)}")
    for index, command in enumerate(commands):
        output.write(f"{'' if index else 'next':<6}  {command}")


def _next(artifact: Artifact) -> list[str]:
    if artifact.kind is ArtifactKind.dataset:
        return [f"mltool train data.source={artifact.label}", f"mltool data show {artifact.label}"]
    if artifact.kind is ArtifactKind.model and not artifact.has_failed_checks:
        return [f"mltool evaluate {artifact.label}", f"mltool predict {artifact.label} input=FILE"]
    return []


def draw_metrics(
    metrics: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]] | None = None,
    confidence: float | None = None,
) -> None:
    rows = []
    for name, value in metrics.items():
        bounds = (intervals or {}).get(name)
        between = f"{words.number(bounds[0])} to {words.number(bounds[1])}" if bounds else ""
        rows.append((name, words.number(value), between))
    level = f"{confidence:.0%} interval" if confidence else "interval"
    output.draw_table(("metric", ">value", level), rows)


def draw_checks(checks: Sequence[Check]) -> None:
    output.draw_table(("check", "verdict", "value", "detail"), [_check_row(check) for check in checks])


def _check_row(check: Check) -> tuple[str, str, str, str]:
    value = "" if check.value is None else words.number(check.value)
    if check.limit is not None:
        value += f" (limit {words.number(check.limit)})"
    verdict = f"{output.symbol(check.status)} {check.status.value.replace('_', ' ')}"
    return check.id, verdict, value.strip(), check.detail


def show_evaluation(evaluation: Evaluation) -> None:
    if output.mode() is Mode.json:
        output.write_json(evaluation.to_json())
    elif output.mode() is Mode.quiet:
        for name, value in evaluation.metrics.items():
            output.write(f"{name}={value!r}")
    else:
        samples = words.count(evaluation.num_samples, "sample")
        model = output.paint(evaluation.model, "bold", sys.stdout)
        output.write(f"{model}  on the {evaluation.split} split, {samples}\n")
        draw_metrics(evaluation.metrics, evaluation.intervals, evaluation.confidence)


def show_records(records: Sequence[dict[str, Any]]) -> None:
    """Show predictions: a table of a few, else one JSON object a line; with `--json`, one object with all of them."""
    if output.mode() is Mode.json:
        output.write_json({"predictions": list(records)})
    elif output.mode() is Mode.quiet or not 0 < len(records) <= _FEW_RECORDS:
        output.write_json_lines(records)
    else:
        columns = [key for key in dict.fromkeys(key for record in records for key in record) if _is_flat(records, key)]
        if not columns:
            output.write_json_lines(records)
            return
        rows = [(str(n), *(_cell(record.get(key)) for key in columns)) for n, record in enumerate(records)]
        output.draw_table((">row", *columns), rows)


def _is_flat(records: Sequence[dict[str, Any]], key: str) -> bool:
    return not any(isinstance(record.get(key), dict | list | tuple) for record in records)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return words.number(value) if isinstance(value, float) else str(value)


def show_config(resolved: Resolved[Any]) -> None:
    """The config that would run, with the source of each value."""
    from mltool.core.config.load import nested
    from mltool.core.config.show import with_origins

    if output.mode() is Mode.json:
        output.write_json({"config": nested(resolved.values), "origins": resolved.origins})
    else:
        output.write(with_origins(resolved))


def show_plan(plan: Mapping[str, Any]) -> None:
    """What a dry run would have done."""
    if output.mode() is Mode.json:
        output.write_json(plan)
        return
    for key, value in plan.items():
        if value in (None, [], {}, ""):
            continue
        name = key.removesuffix("_bytes").removeprefix("num_").replace("_", " ")
        texts = value if isinstance(value, list) else [value]
        for index, one in enumerate(texts):
            text = units.size(one) if key.endswith("_bytes") else words.plain(one)
            line = f"{'' if index else name:<16}  {text}"
            output.write(output.flowing(line, sys.stdout, indent=" " * 18))
    output.say("nothing was written: this was a dry run")


def show_dataset(dataset: Artifact, summary: Mapping[str, Any]) -> None:
    """Show a dataset with what it holds: rows, columns, classes, notes and damage."""
    if output.mode() is not Mode.human:
        show_artifact(dataset, {"summary": dict(summary)})
        return
    _draw_head(dataset)
    output.write(f"rows    {words.plain(summary['num_rows'])}")
    output.write(f"inputs  {', '.join(_input(one) for one in summary['inputs'])}")
    output.write(f"target  {summary['target']['name']}, {summary['target']['kind']}\n")
    columns = [_column_row(column) for column in summary["columns"]]
    output.draw_table(("column", "kind", ">missing", ">mean", ">distinct"), columns)
    if summary["class_counts"]:
        output.write("")
        splits = list(summary["class_counts"])
        counts = list(summary["class_counts"].values())
        rows = [(name, *(f"{split[name]:,}" for split in counts)) for name in counts[0]]
        output.draw_table(("class", *(f">{split}" for split in splits)), rows)
    if summary["num_damaged"]:
        output.write(f"\n{output.symbol('damaged')} {words.count(summary['num_damaged'], 'damaged row')}")
        output.draw_table(("where", "problem"), [(str(where), str(why)) for where, why in summary["damage"]])
    if summary["notes"]:
        output.write("\nnotes")
        for note in summary["notes"]:
            output.write(output.flowing(f"  {note}", sys.stdout, indent="  "))
    _draw_tail(dataset, [f"mltool train data.source={dataset.label}"])


def _input(spec: Mapping[str, Any]) -> str:
    return f"{spec['name']} {spec['dtype']} [{', '.join(map(str, spec['shape']))}]"


def _column_row(column: Mapping[str, Any]) -> tuple[str, ...]:
    missing, mean, distinct = column["missing"], column["mean"], column["num_distinct"]
    return (
        column["name"],
        column["kind"],
        f"{missing:.1%}" if missing else "",
        "" if mean is None else words.number(mean),
        f"{distinct:,}" if distinct else "",
    )


def open_report(artifact: Artifact) -> None:
    """Show the report of an artifact in the browser."""
    page, entry = artifact.path / REPORT, artifact.manifest.files.get(REPORT)
    if entry is None or not page.is_file():
        output.warn(f"`{artifact.label}` has no report to open")
    elif digest.of_file(page) != entry.sha256:
        output.warn(f"`{output.relative(page)}` was changed after it was written, so it is not opened")
    else:
        open_page(page)


def open_page(page: Path) -> None:
    """Show a page in the browser."""
    if typer.launch(page.resolve().as_uri()) != 0:
        output.warn(f"no browser could be opened; the page is `{output.relative(page)}`")
