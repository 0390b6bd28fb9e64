"""Draws an audit: what is done by area, how much of it, and what comes next."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from mltool.cli import output, words
from mltool.cli.output import Mode

if TYPE_CHECKING:
    from mltool.stages.checklist.stage import Audit, Judged

_MARKS = {"done": "passed", "partly": "partly", "missing": "failed"}
_NUM_PROBLEMS = 8


def show_audit(audit: Audit) -> None:
    """Show an audit; quietly, what is open, as `id=verdict`."""
    if output.mode() is Mode.json:
        output.write_json(audit.to_json())
    elif output.mode() is Mode.quiet:
        for one in audit.judged:
            if one.is_open:
                output.write(f"{one.item.id}={one.finding.verdict}")
    else:
        _draw(audit)


def _draw(audit: Audit) -> None:
    rows = [(one.item.area, *_row(one)) for one in audit.judged]
    mark, name = (max(len(row[column]) for row in rows) for column in (1, 2))
    for area, group in groupby(rows, key=lambda row: row[0]):
        output.draw_table((f"{area:<{mark}}", " " * name, " "), [row[1:] for row in group])
        output.write("")
    counts = ", ".join(f"{num} {verdict.replace('_', ' ')}" for verdict, num in audit.counts.items() if num)
    output.write(f"{words.count(len(audit.judged), 'item')}: {counts}")
    if audit.problems:
        output.write(f"\n{words.count(len(audit.problems), 'problem')}: what could not be read proves nothing")
        more = len(audit.problems) - _NUM_PROBLEMS
        output.draw_table(("where", "problem"), [(one.path, one.text) for one in audit.problems[:_NUM_PROBLEMS]])
        if more > 0:
            output.write(f"and {more:,} more: see `--json`")
    steps = audit.next_steps()
    if steps:
        output.write("\nnext")
        output.draw_table(("", "", ""), [(f"  {one.item.id}", one.item.command, _opened(audit, one)) for one in steps])


def _row(one: Judged) -> tuple[str, str, str]:
    verdict = one.finding.verdict.value
    mark = output.symbol(_MARKS.get(verdict, "not_run"))
    text = f"{one.item.title}: {one.finding.evidence}"
    if one.is_open:
        text += f"\ndo  {one.item.command}"
    return f"{mark} {verdict.replace('_', ' ')}", one.item.id, text


def _opened(audit: Audit, one: Judged) -> str:
    num = len(audit.opens(one.item))
    return f"{words.count(num, 'other')} wait for it" if num > 1 else "one other waits for it" if num else ""
