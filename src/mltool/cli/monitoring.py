"""Draws what was found out about models in use."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mltool.cli import output, words
from mltool.cli.output import Mode

if TYPE_CHECKING:
    from mltool.stages.monitor.drift import DriftFound
    from mltool.statistics.drift import Column, Drift

_NUM_COLUMNS = 10
_HEADS = {
    "columns": "single columns",
    "spread": "all columns together",
    "missing": "missing values",
    "classes": "predicted classes",
}


def show_drift(found: DriftFound) -> None:
    """Show a decision; quietly, `alarm` or `quiet`."""
    if output.mode() is Mode.json:
        output.write_json(found.to_json())
    elif output.mode() is Mode.quiet:
        output.write("alarm" if found.alarm else "no alarm")
    else:
        _draw(found)


def _draw(found: DriftFound) -> None:
    drift = found.drift
    verdict = "drift" if drift.alarm else "no sign of drift"
    mark = output.symbol("failed" if drift.alarm else "passed")
    sentence = (
        f"{mark} {verdict}: {found.source} against `{found.model.label}`, "
        f"p = {_p(drift.p_value)} (alarm at {words.number(drift.alpha)} and below)"
    )
    output.write(output.paint(output.flowing(sentence, sys.stdout), "red" if drift.alarm else "", sys.stdout))
    output.write("")
    output.draw_table(
        ("column", "drifted", ">p", ">JS", ">PSI", ">moved by (sd)", ">mean before", ">now", ">missing before", ">now"),
        [_row(column) for column in drift.columns[:_NUM_COLUMNS]],
    )
    rest = len(drift.columns) - _NUM_COLUMNS
    if rest > 0:
        output.write(f"and {words.count(rest, 'column')} that moved less")
    output.write("")
    output.write(f"heads   {', '.join(f'{_HEADS[name]} {_p(p)}' for name, p in drift.heads.items())}")
    for line in _remarks(drift, found.row_split):
        output.write(output.flowing(f"note    {line}", sys.stdout, indent=" " * 8))
    output.write(f"kept    {output.relative(found.attestation.path)}")


def _row(column: Column) -> tuple[str, ...]:
    moved = column.distances
    has_gaps = moved.missing or moved.missing_reference
    return (
        column.name,
        "drifted" if column.is_drifted else "",
        _p(column.p_value),
        f"{moved.js:.2f}",
        f"{moved.psi:.2f}",
        "" if moved.wasserstein_sd is None else f"{moved.wasserstein_sd:.2f}",
        *("" if one is None else words.number(one) for one in (moved.mean_reference, moved.mean)),
        *(f"{one:.1%}" if has_gaps else "" for one in (moved.missing_reference, moved.missing)),
    )


def _remarks(drift: Drift, row_split: str) -> Sequence[str]:
    tested = "" if drift.num_tested_rows == drift.num_rows else f", of which {drift.num_tested_rows:,} were tested,"
    remarks = [
        f"{words.count(drift.num_rows, 'row')}{tested} against {drift.num_reference_rows:,} of the {row_split} split"
    ]
    if drift.smallest_shift_sd is None:
        remarks.append("so few rows that even a large shift of one column may stay unseen")
    else:
        remarks.append(
            f"a shift of one column by less than {drift.smallest_shift_sd:.1f} standard deviations may stay unseen"
        )
    if drift.not_tested:
        remarks.append(f"not tested: {', '.join(drift.not_tested)}")
    return remarks


def _p(value: float) -> str:
    return f"{value:.2g}"
