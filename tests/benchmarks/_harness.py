"""What all benchmarks share: interleaved rounds, ratios within one run, one table, one JSON file.

Machines are shared and their speed drifts, so variants take turns and a ratio is the median over rounds of the ratio
within a round. Goals are judged on CPU time, which a busy neighbour disturbs least, unless a row says otherwise.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Load = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took: seconds on the wall, and seconds of the processor in all threads (user and system)."""

    wall_s: float
    cpu_s: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)

    def __truediv__(self, by: float) -> Cost:
        return Cost(self.wall_s / by, self.cpu_s / by)


Costs = Mapping[str, list[Cost]]


@dataclass(slots=True)
class Report:
    """The figures of one benchmark; `finish` prints the goals and writes the JSON."""

    benchmark: str
    quick: bool
    json_path: Path | None
    tables: list[dict[str, Any]] = field(default_factory=list)
    goals: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    load_before: Load = field(default_factory=os.getloadavg)

    def table(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print rows with the same keys under their keys."""
        self.tables.append({"title": title, "rows": [dict(row) for row in rows]})
        head = list(rows[0])
        cells = [head, *([_text(row[key]) for key in head] for row in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
        print(f"\n{title}")
        for line in cells:
            name, *values = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            print("  " + "  ".join([name.strip().ljust(widths[0]), *values]).rstrip(), flush=True)

    def costs(self, title: str, costs: Costs, against: str) -> None:
        """Print the median cost of every variant, and its ratio to the variant `against`."""
        rows = [
            {
                "variant": name,
                "wall_ms": statistics.median(cost.wall_s for cost in own) * 1e3,
                "cpu_ms": statistics.median(cost.cpu_s for cost in own) * 1e3,
                "wall_ratio": ratio(costs, name, against, of="wall_s"),
                "cpu_ratio": ratio(costs, name, against),
            }
            for name, own in costs.items()
        ]
        self.table(f"{title} (ratios: to {against}, median of {len(costs[against])} rounds)", rows)

    def goal(
        self, what: str, value: float, *, at_most: float | None = None, at_least: float | None = None, unit: str = "x"
    ) -> None:
        """Record whether a value is within its limit; both in `unit`."""
        reached = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        self.goals.append(
            {"what": what, "value": value, "at_most": at_most, "at_least": at_least, "unit": unit, "reached": reached}
        )

    def without(self, what: str, why: str) -> None:
        """Name something that could not take part."""
        self.left_out[what] = why
        print(f"left out: {what} ({why})", flush=True)

    def finish(self) -> None:
        if self.goals:
            print("\ngoals" + (" (--quick: too short to be judged)" if self.quick else ""))
        for goal in self.goals:
            limits = [f"{word} {goal[key]:g}" for word, key in (("at most", "at_most"), ("at least", "at_least"))
                      if goal[key] is not None]  # fmt: skip
            verdict = "reached" if goal["reached"] else "fell short"
            print(f"  {goal['what']}: {_text(goal['value'])} {goal['unit']} (goal: {', '.join(limits)}): {verdict}")
        load_after = os.getloadavg()
        print(f"\nload over one minute: {self.load_before[0]:.1f} before, {load_after[0]:.1f} after", flush=True)
        if self.json_path is not None:
            where = {"python": platform.python_version(), "machine": platform.machine(), "num_cpus": os.cpu_count()}
            report = {**asdict(self), "json_path": None, "load_after": load_after, "host": where}
            self.json_path.write_text(json.dumps(_finite(report), indent=1) + "\n", encoding="utf-8")


def start(file: str, doc: str | None) -> Report:
    """Read the command line that all benchmarks have.

    Args:
        file: `__file__` of the benchmark.
        doc: Its `__doc__`.
    """
    return report_of(file, command_line(doc).parse_args())


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """What `start` reads, for a benchmark with options of its own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures to this file")
    parser.add_argument("--quick", action="store_true", help="few rounds and little data: does it run at all?")
    return parser


def report_of(file: str, options: argparse.Namespace) -> Report:
    return Report(Path(file).stem.removeprefix("bench_"), options.quick, options.json)


def is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def now() -> Cost:
    """Both clocks of this process; the difference of two readings is a cost."""
    return Cost(time.perf_counter(), time.process_time())


def cost_of(call: Callable[[], object]) -> Cost:
    """What one call costs this process."""
    started = now()
    call()
    return now() - started


def interleave(variants: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Let the variants take turns, in an order that rotates, after one round that does not count."""
    names = list(variants)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
            cost = variants[name]()
            if turn:
                costs[name].append(cost)
    return costs


def ratio(costs: Costs, of_variant: str, to_variant: str, *, of: str = "cpu_s") -> float:
    """How often the cost of one variant holds that of another: the median over rounds."""
    pairs = zip(costs[of_variant], costs[to_variant], strict=True)
    return statistics.median(getattr(a, of) / getattr(b, of) for a, b in pairs)


def run_process(arguments: Sequence[str], folder: Path, *, expect: int | None = 0) -> Cost:
    """Run a command to its end in `folder`, its output thrown away; the cost includes its own children.

    Raises:
        RuntimeError: It ended with another code than `expect`.
    """
    with tempfile.TemporaryFile() as talk:
        started = time.perf_counter()
        process = subprocess.Popen(arguments, cwd=folder, stdout=talk, stderr=talk, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = code = os.waitstatus_to_exitcode(status)
        if expect is not None and code != expect:
            talk.seek(0)
            said = talk.read().decode(errors="replace")
            raise RuntimeError(f"{list(arguments)} ended with {code}:\n{said[-4000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def mltool(*arguments: str) -> list[str]:
    """The command line of mltool, started as its console script starts it."""
    return [sys.executable, "-c", "from mltool.cli.app import main; main()", *arguments]


def _finite(value: Any) -> Any:
    """The same data with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
    return str(value)
