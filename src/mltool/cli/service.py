"""Draws what is known of a model in service; the page says more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.cli.show import open_page

if TYPE_CHECKING:
    from mltool.stages.monitor.report import Watching


def show_report(found: Watching, *, and_open: bool = False) -> None:
    """Sum up a page in a few lines; quietly, where it is."""
    if output.mode() is Mode.json:
        output.write_json(found.to_json())
    elif output.mode() is Mode.quiet:
        output.write(str(found.page))
    else:
        _draw(found)
    if and_open:
        open_page(found.page)


def _draw(found: Watching) -> None:
    where = f"deployed as {found.deployment}" if found.deployment else "not deployed"
    output.write(f"{output.paint(found.model.label, 'bold', sys.stdout)}  {where}\n")
    lines = {"drift": _drift(found), "robustness": _robustness(found), "traffic": _traffic(found)}
    for name, line in lines.items():
        output.write(output.flowing(f"{name:<12}{line}", sys.stdout, indent=" " * 12))
    output.write(f"\npage        {output.relative(found.page)}")


def _drift(found: Watching) -> str:
    if not found.drift:
        return f"no window yet: `mltool monitor drift {found.model.label} current=FILE`"
    newest, num_alarms = found.drift[-1], sum(bool(window["alarm"]) for window in found.drift)
    verdict = "alarm" if newest["alarm"] else "no alarm"
    mark = output.symbol("failed" if newest["alarm"] else "passed")
    counted = f"{num_alarms} of {words.count(len(found.drift), 'window')}"
    return f"{mark} {verdict} in the newest window, p = {words.number(newest['p_value'])}; {counted} with an alarm"


def _robustness(found: Watching) -> str:
    if found.robustness is None:
        return f"no ladder yet: `mltool monitor robustness {found.model.label}`"
    return str(found.robustness["summary"])


def _traffic(found: Watching) -> str:
    traffic = found.traffic
    if traffic is None:
        return "nothing was recorded"
    parts = [words.count(traffic.num_requests, "request"), f"{traffic.num_failed:,} failed"]
    parts += [f"{name} {words.number(value)} ms" for name, value in traffic.latency_ms.items()]
    if traffic.accuracy is not None:
        parts.append(f"accuracy {words.number(traffic.accuracy[0])} of {traffic.num_labelled:,} with labels")
    return ", ".join(parts)
