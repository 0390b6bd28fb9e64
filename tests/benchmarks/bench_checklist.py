"""Time of `mltool checklist` on a repository with 10,000 files, with everything that runs something forbidden.

    python tests/benchmarks/bench_checklist.py [--json OUT] [--quick]

Three repositories are generated: a course project in which most files are pictures and tables; one of sources alone,
which is more than an audit parses; one of YAML and notebooks. In each a `setup.py`, a `conftest.py` and hooks of git
would leave a mark if they ran. The peer is a process that only reads the same files.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from _harness import Cost, Report, interleave, mltool, run_process, start

SOURCE = '''"""Part {n}."""

from __future__ import annotations

import logging

import torch
from torch import nn

logger = logging.getLogger(__name__)


class Net{n}(nn.Module):
    """A network."""

    def __init__(self, width: int = {n}) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One layer."""
        logger.info("forward %s", x.shape)
        return self.layer(x)


def train(net: nn.Module, rows: list[torch.Tensor], lr: float = 0.1) -> float:
    """One epoch."""
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    total = 0.0
    for row in rows:
        optimizer.zero_grad()
        loss = net(row).pow(2).mean()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / max(1, len(rows))
'''
TRAP = "import pathlib\npathlib.Path({mark!r}).write_text('run')\n"
GOAL_S = 5.0


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def make_repository(root: Path, kind: str, num_files: int, mark: Path) -> None:
    shares = {"course project": (0.1, 0.02), "sources alone": (1.0, 0.0), "yaml and notebooks": (0.1, 0.9)}
    num_sources = int(num_files * shares[kind][0])
    num_data = int(num_files * shares[kind][1])
    for n in range(num_sources):
        write(root / f"src/pkg/part_{n % 40}/module_{n}.py", SOURCE.replace("{n}", str(n)))
    for n in range(num_data):
        if n % 3:
            write(root / f"conf/group_{n % 40}/{n}.yaml", "lr: 0.1\nmodel: {width: 3, depth: [1, 2, 3]}\n" * 3)
        else:
            cell = {"cell_type": "code", "source": ["import torch\n", "torch.zeros(3)\n"]}
            write(root / f"notebooks/{n % 40}/{n}.ipynb", json.dumps({"cells": [cell] * 4}))
    for n in range(num_files - num_sources - num_data):
        write(root / f"data/raw/class_{n % 40}/{n}.png", "x" * 500)
    for name in ("setup.py", "conftest.py", "tests/conftest.py", "tasks.py"):
        write(root / name, TRAP.format(mark=str(mark)))
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    # Not in the background: git tidying up later would run what the config says by then.
    identity = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
    ]
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", *identity, "commit", "-q", "-m", "one"], cwd=root, check=True)
    write(root / ".git/config", f"[core]\n\tfsmonitor = touch {mark}\n")


def measure(report: Report, folder: Path, num_files: int, rounds: int) -> None:
    mark, rows = folder / "mark", []
    for kind in ("course project", "sources alone", "yaml and notebooks"):
        root = folder / kind.replace(" ", "-")
        make_repository(root, kind, num_files, mark)
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
        costs = interleave(
            {
                "audit": lambda root=root: run_process(mltool("checklist", "--json"), root),
                "read": lambda root=root: run_process([sys.executable, "-c", READ], root),
            },
            rounds,
        )
        best: Cost = min(costs["audit"], key=lambda cost: cost.wall_s)
        read: Cost = min(costs["read"], key=lambda cost: cost.wall_s)
        rows.append(
            {
                "repository": kind,
                "files": num_files,
                "mib": size / 2**20,
                "wall_s": best.wall_s,
                "cpu_s": best.cpu_s,
                "to reading alone": best.cpu_s / read.cpu_s,
            }
        )
        report.goal(f"audit of {kind}, processor time", best.cpu_s, at_most=GOAL_S, unit="s")
    report.table(f"one process of `mltool checklist --json`, the best of {rounds}", rows)
    report.goal("marks left by something that was run", float(mark.exists()), at_most=0, unit="marks")


READ = "import pathlib; [path.read_bytes() for path in pathlib.Path().rglob('*') if path.is_file()]"


def main() -> None:
    report = start(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        measure(report, Path(folder), 500 if report.quick else 10_000, 1 if report.quick else 2)
    report.finish()


if __name__ == "__main__":
    main()
