"""Draws a robustness ladder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from mltool.artifacts.artifact import REPORT
from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.cli.show import open_report

if TYPE_CHECKING:
    from mltool.stages.monitor.ladder import Ladder, Robustness, Rung

_NUM_SILENT = 5


def show_robustness(result: Robustness, *, and_open: bool = False) -> None:
    """Show a ladder; quietly, the path of its attestation."""
    if output.mode() is Mode.json:
        output.write_json(result.to_json())
    elif output.mode() is Mode.quiet:
        output.write(str(result.attestation.path))
    else:
        _draw(result.ladder)
        output.write(f"\nreport  {output.relative(result.attestation.path / REPORT)}")
        output.write(f"next    mltool deploy local {result.ladder.model}")
    if and_open:
        open_report(result.attestation)


def _draw(ladder: Ladder) -> None:
    model = output.paint(ladder.model, "bold", sys.stdout)
    where = "its samples" if ladder.split == "samples" else f"the {ladder.split} split"
    rows = words.count(ladder.num_rows, "row")
    output.write(f"{model}  {ladder.metric} {words.number(ladder.clean)} on {rows} of {where}")
    output.write(output.flowing(f"{ladder.finding}\n", sys.stdout))
    silent = ladder.silent
    for rung in silent[:_NUM_SILENT]:
        output.write(f"{output.symbol('failed')} {rung.label}, severity {rung.severity} ({rung.says}): {_cost(rung)}")
    if silent:
        more = len(silent) - _NUM_SILENT
        output.write(f"  and {more} more\n" if more > 0 else "")
    rungs = [list(own) for _, own in groupby(ladder.rungs, key=lambda rung: rung.label)]
    severities = [f">severity {rung.severity}" for rung in rungs[0]]
    output.draw_table(("corruption", *severities), [_row(own, ladder) for own in rungs])
    if ladder.windows:
        output.write(f"\n{ladder.metric} lost, and after how many requests drift notices")
        if ladder.unseen:
            inputs = ", ".join(f"`{name}`" for name in ladder.unseen)
            output.write(f"drift does not see {inputs}: a deployment logs it only with `record=all`")


def _row(rungs: Sequence[Rung], ladder: Ladder) -> tuple[str, ...]:
    return rungs[0].label, *(_cell(rung, ladder) for rung in rungs)


def _cell(rung: Rung, ladder: Ladder) -> str:
    lost = f"{rung.lost:.3f}" if abs(rung.lost) < 10 else words.number(rung.lost)
    if not ladder.windows:
        return lost
    after = f">{ladder.windows[-1]:,}" if rung.noticed_after is None else f"{rung.noticed_after:,}"
    return f"{lost} {after:>6}"


def _cost(rung: Rung) -> str:
    if rung.interval is None:
        return words.number(rung.lost)
    return f"{words.number(rung.lost)} ({words.number(rung.interval[0])} to {words.number(rung.interval[1])})"
