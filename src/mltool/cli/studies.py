"""Draws what a search found."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.cli.show import open_page

if TYPE_CHECKING:
    from mltool.stages.tune.result import Tuned
    from mltool.stages.tune.trial import Trial

_NUM_SHOWN = 10
_MARKS = {"complete": "passed", "failed": "failed", "pruned": "not_run"}


def show_tuned(found: Tuned, *, and_open: bool = False) -> None:
    """Show a search; quietly, the path of the best config."""
    if output.mode() is Mode.json:
        output.write_json(found.to_json())
    elif output.mode() is Mode.quiet:
        output.write(str(found.best_path))
    else:
        _draw(found)
    if and_open:
        open_page(found.report_path)


def _draw(found: Tuned) -> None:
    counts = [(name, sum(t.outcome == name for t in found.trials)) for name in ("complete", "pruned", "failed")]
    trials = ", ".join(f"{count} {name}" for name, count in counts if count)
    study = output.paint(found.study, "bold", sys.stdout)
    output.write(f"{study}  study, {words.count(len(found.trials), 'trial')}: {trials}\n")
    ranked = found.ranked
    keys = list(found.space)
    columns = (">trial", f">{found.metric.name}", *(f">{key}" for key in keys), ">epochs", "outcome", "reason")
    output.draw_table(columns, [_row(trial, keys) for trial in ranked[:_NUM_SHOWN]])
    if len(ranked) > _NUM_SHOWN:
        output.write(f"and {len(ranked) - _NUM_SHOWN} more, in the report")
    output.write(f"\nbest    {_verdict(found)}")
    output.write(f"config  {output.relative(found.best_path)}")
    output.write(f"report  {output.relative(found.report_path)}")
    output.write(f"next    {found.command}")


def _verdict(found: Tuned) -> str:
    best, before = found.best, found.before
    text = f"trial {best.number}, {found.metric.in_words} {words.number(best.value or 0.0)}"
    if before is None:
        return text
    if before.point == best.point:
        return f"{text}: your config as it stands"
    return f"{text}; your config had {words.number(before.value or 0.0)}"


def _row(trial: Trial, keys: list[str]) -> tuple[str, ...]:
    given = trial.to_json()["config"]
    return (
        str(trial.number),
        "" if trial.value is None else words.number(trial.value),
        *(words.number(given[key]) if isinstance(given[key], float) else str(given[key]) for key in keys),
        str(len(trial.curve)),
        f"{output.symbol(_MARKS[trial.outcome])} {trial.outcome}",
        trial.reason,
    )
