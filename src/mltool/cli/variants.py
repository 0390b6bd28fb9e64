"""Draws what an optimisation tried, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.cli.show import open_report, show_artifact
from mltool.core import units

if TYPE_CHECKING:
    from mltool.runtimes.candidate import Tried
    from mltool.variants.variant import Variant


def show_variant(variant: Variant, *, and_open: bool = False) -> None:
    if output.mode() is Mode.json:
        output.write_json(variant.to_json())
    elif output.mode() is Mode.quiet:
        output.write(str(variant.artifact.path))
    else:
        columns = ("candidate", "outcome", ">speed-up", ">latency", ">size", "reason")
        output.draw_table(columns, [_row(one) for one in variant.tried])
        output.write("")
        if variant.kept_parent:
            output.write(f"no gain: `{variant.artifact.label}` stays")
        else:
            show_artifact(variant.artifact)
    if and_open:
        open_report(variant.artifact)


def _row(one: Tried) -> tuple[str, ...]:
    mark = {"chosen": "passed", "failed": "failed", "error": "failed"}.get(one.outcome, "not_run")
    return (
        one.candidate.name,
        f"{output.symbol(mark)} {one.outcome}",
        "" if one.speedup is None else f"{one.speedup:.2f}x",
        "" if one.latency_ms is None else f"{words.number(one.latency_ms)} ms",
        "" if one.size_mib is None else units.size(one.size_mib * 2**20),
        one.reason,
    )
