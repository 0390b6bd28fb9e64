"""Seconds from a trained network to the first answer of `mltool predict`, with `mltool.save` and with `mltool import`.

    python tests/benchmarks/bench_first_answer.py [--json OUT] [--quick]

Everything a user waits for counts: two fresh processes, the first of which loads torch, exports the network to a
graph, verifies it in a process of its own, measures it and stores it; the second answers. The network is a small CNN
in a file of the user's own. Times are on the wall, because that is what a user waits for.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from _harness import Report, mltool, run_process, start

NETWORK = """
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3)
        self.head = nn.Linear(32 * 5 * 5, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.log_softmax(self.head(x.flatten(1)), dim=1)
"""
LISTEN = """
import json, sys, time
from mltool.core import events

marks = {}

def listen(event):
    if isinstance(event, events.Progress) and event.task == "verify":
        marks[event.detail or ("end" if event.done else "start")] = time.monotonic()

def write_marks():
    with open("marks.json", "w") as stream:
        json.dump(marks, stream)
"""
SAVE = (
    LISTEN
    + """
with events.subscribed(listen):
    import numpy as np, torch
    import mltool
    from network import Net

    net = Net()
    net.load_state_dict(torch.load("weights.pt", weights_only=True))
    data = np.load("data.npz")
    mltool.save(net, data["test_images"][:256], data["test_labels"][:256], name="small")
write_marks()
"""
)
IMPORT = (
    LISTEN
    + """
from mltool.cli.app import run
with events.subscribed(listen):
    code = run(["import", "weights.pt", "model.target=network:Net", "data.source=data.npz", "name=small"])
write_marks()
sys.exit(code)
"""
)


def prepare(folder: Path) -> None:
    """The user's files: a network, its weights, prepared tensors, and one sample to answer for."""
    (folder / "network.py").write_text(NETWORK, encoding="utf-8")
    (folder / "save.py").write_text(SAVE, encoding="utf-8")
    (folder / "import.py").write_text(IMPORT, encoding="utf-8")
    (folder / "mltool.yaml").write_text("version: 1\n", encoding="utf-8")
    sys.path.insert(0, str(folder))
    from network import Net  # type: ignore[import-not-found]

    torch.manual_seed(0)
    torch.save(Net().state_dict(), folder / "weights.pt")
    generator = np.random.default_rng(0)
    arrays = {}
    for split, num_rows in (("train", 2_000), ("test", 500)):
        arrays[f"{split}_images"] = generator.normal(size=(num_rows, 1, 28, 28)).astype(np.float32)
        arrays[f"{split}_labels"] = np.arange(num_rows) % 10
    np.savez(folder / "data.npz", **arrays)
    np.save(folder / "sample.npy", arrays["test_images"][:1])


def one_round(way: str, folder: Path) -> dict[str, float]:
    made = run_process([sys.executable, f"{way}.py"], folder)
    answered = run_process(mltool("predict", "small", "input=sample.npy"), folder)
    marks = json.loads((folder / "marks.json").read_text(encoding="utf-8"))
    exported = marks["check the graph in a fresh process"] - marks["export"]
    verified = marks["measure"] - marks["check the graph in a fresh process"]
    return {
        "total_s": made.wall_s + answered.wall_s,
        f"{way}_s": made.wall_s,
        "of_it_export_s": exported,
        "of_it_fresh_process_s": verified,
        "predict_s": answered.wall_s,
        "cpu_s": made.cpu_s + answered.cpu_s,
    }


def measure(report: Report, folder: Path, rounds: int) -> None:
    seen: dict[str, list[dict[str, float]]] = {"save": [], "import": []}
    for _ in range(rounds):
        for way, own in seen.items():
            own.append(one_round(way, folder))
    for way, own in seen.items():
        row = {key: statistics.median(one[key] for one in own) for key in own[0]}
        row["export_share"] = row["of_it_export_s"] / row["total_s"]
        name = "mltool.save" if way == "save" else "mltool import"
        report.table(f"{name}, then mltool predict (median of {rounds})", [{"way": name, **row}])
        report.goal(f"{name} to the first answer", row["total_s"], at_most=20, unit="s")


def main() -> None:
    report = start(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLTOOL_HOME"] = str(Path(folder) / "store")
        prepare(Path(folder))
        measure(report, Path(folder), 1 if report.quick else 5)
    report.finish()


if __name__ == "__main__":
    main()
