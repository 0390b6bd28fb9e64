"""Draws the road: what each step did, and where the page is that tells it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mltool.cli import output, words
from mltool.cli.output import Mode

if TYPE_CHECKING:
    from mltool.stages.run.stage import Road

_MARKS = {"ran": "passed", "unchanged": "passed", "refused": "not_run"}


def show_road(road: Road) -> None:
    """Every step with what it did; `--quiet` is the page."""
    if output.mode() is Mode.json:
        output.write_json(road.to_json())
        return
    if output.mode() is Mode.quiet:
        output.write(str(road.page))
        return
    summary = road.to_json()["summary"]
    output.write(f"{output.paint(str(summary['best']), 'bold', sys.stdout)}  the road from {summary['dataset']}\n")
    rows = [
        (
            step.name,
            f"{output.symbol(_MARKS[step.outcome])} {step.outcome}",
            "" if step.seconds is None else words.duration(step.seconds),
            step.command,
        )
        for step in road.steps
    ]
    output.draw_table(("step", "outcome", ">time", "command"), rows)
    metrics = ", ".join(f"{name} {words.number(value)}" for name, value in list(summary["metrics"].items())[:2])
    if metrics:
        output.write(f"\n{metrics}")
    output.write(f"\npage    {output.relative(road.page)}")
    if summary["best"]:
        output.write(f"next    mltool deploy local {summary['best']}")


def show_road_plan(plan: Mapping[str, Any]) -> None:
    """What would run, and the `dvc.yaml`."""
    if output.mode() is Mode.json:
        output.write_json(plan)
        return
    rows = [(one["name"], "would run" if one["would_run"] else "unchanged", one["command"]) for one in plan["steps"]]
    output.draw_table(("step", "", "command"), rows)
    output.say("nothing was written: this was a dry run")
