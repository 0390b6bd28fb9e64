"""Draws what the doctor found: areas, marks, and under each problem the line that mends it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from mltool.cli import output, words
from mltool.cli.output import Mode

if TYPE_CHECKING:
    from mltool.stages.doctor.finding import Row
    from mltool.stages.doctor.stage import Examination

_MARKS = {"fine": "passed", "warning": "partly", "broken": "failed", "absent": "not_run"}


def show_examination(found: Examination) -> bool:
    """Show it, and return whether all that every verb needs is sound; quietly, the names of the problems."""
    if output.mode() is Mode.json:
        output.write_json(found.to_json())
    elif output.mode() is Mode.quiet:
        for row in found.problems:
            output.write(f"{row.name}={row.state}")
    else:
        _draw(found)
    if found.broken:
        first = found.broken[0]
        output.show_error(f"`{first.name}`: {first.detail}", first.mend or None)
    return not found.broken


def _draw(found: Examination) -> None:
    rows = [(row.area, *_row(row)) for row in found.rows]
    mark, name = (max(len(row[column]) for row in rows) for column in (1, 2))
    for area, group in groupby(rows, key=lambda row: row[0]):
        output.draw_table((f"{area:<{mark}}", " " * name, " "), [row[1:] for row in group])
        output.write("")
    num = len(found.problems)
    output.write(words.count(num, "problem") if num else "no problems")


def _row(row: Row) -> tuple[str, str, str]:
    is_problem = row.state.value in ("warning", "broken")
    mend = f"\n{'mend' if is_problem else 'get '}  {row.mend}" if row.mend else ""
    return f"{output.symbol(_MARKS[row.state.value])} {row.state.value}", row.name, f"{row.detail}{mend}"
