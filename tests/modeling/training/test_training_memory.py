"""Anonymous memory while training on three times as much data as the process may have."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA and /proc are of Linux")

MIB = 1 << 20
# Python, torch and the loop alone take about 250 MiB of it.
LIMIT_BYTES = 320 * MIB
NUM_FEATURES = 3072

SCRIPT = """
import resource, sys
from pathlib import Path
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

import torch
from mltool.datasets.columns import open_columns
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.modeling import preprocess
from mltool.modeling.config import TaskConfig, TrainConfig
from mltool.modeling.network import answer_of
from mltool.modeling.tasks.task import make_task
from mltool.modeling.training.feed import MappedFeed, MemoryFeed, make_feed
from mltool.modeling.training.loop import Fit

torch.set_num_threads(1)
folder = Path(sys.argv[1])
train, validation = (open_columns(folder / name, ["x"]) for name in ("train", "validation"))
shape = train.inputs["x"].shape[1:]
schema = Schema((Column("x", "tensor"),), (TensorSpec("x", "float32", shape),), Target("y", "class", tuple("abc")))
modules = preprocess.fit(schema, train)
feed, validation_feed = (make_feed(columns, schema, modules, (0.0, 1.0)) for columns in (train, validation))
assert isinstance(feed, MappedFeed), feed
network = torch.nn.Linear(shape[0], 3)
task = make_task(TaskConfig(), schema, answer_of(network, feed.gather(__import__("numpy").arange(8))[0]))
history = Fit(network, task, feed, validation_feed, TrainConfig(epochs=1, batch_size=256), folder).run()
print(history[-1]["train_loss"])
"""


def write_split(folder: Path, num_bytes: int) -> None:
    """Rows of which a few are written and the rest are holes: the file is as long, but takes no disk and no time."""
    folder.mkdir()
    num_rows = num_bytes // (4 * NUM_FEATURES)
    x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float32, shape=(num_rows, NUM_FEATURES))
    generator = np.random.default_rng(0)
    x[:: max(1, num_rows // 50)] = generator.normal(size=x[:: max(1, num_rows // 50)].shape)
    x.flush()
    np.save(folder / "target.npy", generator.integers(0, 3, num_rows))


def peak_anonymous_bytes(process: subprocess.Popen[str]) -> int:
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        peak = max([peak, *(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))])
        time.sleep(0.01)
    return peak


def train_under(limit_bytes: int, num_bytes: int, folder: Path) -> tuple[int, str]:
    """Peak of RssAnon in bytes, and what was printed."""
    write_split(folder / "train", num_bytes)
    write_split(folder / "validation", 4 * MIB)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(limit_bytes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        peak = peak_anonymous_bytes(process)
        out, _ = process.communicate()
    assert process.returncode == 0, out
    return peak, out


def test_data_of_three_times_the_limit_are_trained_on_under_it(tmp_path: Path) -> None:
    peak, out = train_under(LIMIT_BYTES, 3 * LIMIT_BYTES, tmp_path)
    assert 50 * MIB < peak < LIMIT_BYTES
    assert float(out) > 0


@pytest.mark.soak
def test_data_of_ten_times_a_larger_limit_are_trained_on_under_it(tmp_path: Path) -> None:
    peak, _ = train_under(600 * MIB, 10 * 600 * MIB, tmp_path)
    assert peak < 600 * MIB
