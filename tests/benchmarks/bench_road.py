"""Time of `mltool run` on the embedded data, without a project; and of the same command when nothing has changed.

    python tests/benchmarks/bench_road.py [--json OUT] [--quick]

Each run is a process of its own in an empty folder, and its steps are processes of it. The goals are seconds on the
wall of a machine with nothing else to do; the processor's seconds stand beside them, which a busy neighbour disturbs
less.
`--quick` walks a shorter road.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from _harness import Cost, Report, mltool, run_process, start

AGAIN = 3
QUICK = ("data.source=penguins", "epochs=5", "compile.backend=onnxruntime", "monitor.corruptions=missing_values")


def measure(report: Report, folder: Path) -> None:
    command = mltool("run", *(QUICK if report.quick else ()))
    first = run_process(command, folder)
    again = min((run_process(command, folder) for _ in range(AGAIN)), key=lambda cost: cost.wall_s)
    rows = [row("mltool run", first), row("the same, nothing changed", again)]
    report.table("the whole road", rows)
    steps = json.loads((folder / "road" / "road.json").read_text(encoding="utf-8"))["steps"]
    report.table("its steps", [{"step": step["name"], "wall_s": step["seconds"]} for step in steps])
    report.goal("mltool run", first.wall_s, at_most=90, unit="s")
    report.goal("again with nothing changed", again.wall_s, at_most=3, unit="s")


def row(name: str, cost: Cost) -> dict[str, object]:
    return {"command": name, "wall_s": cost.wall_s, "cpu_s": cost.cpu_s}


def main() -> None:
    report = start(__file__, __doc__)
    # The steps are found as a shell finds them.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with tempfile.TemporaryDirectory() as folder:
        measure(report, Path(folder))
    report.finish()


if __name__ == "__main__":
    main()
