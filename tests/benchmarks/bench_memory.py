"""Anonymous memory of `mltool train` on data three times as large as the memory that it may have.

    python tests/benchmarks/bench_memory.py [--json OUT] [--quick]

The process runs under RLIMIT_DATA, so that it dies if it asks for more, and its RssAnon is read every 20 ms; the
largest process of its family counts. The data are pictures that this script writes straight into the store. The whole
command counts, from reading the data to the verified graph; the limit leaves little room beyond what torch and its
exporter need for themselves, which the run on small data shows. Linux only.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _harness import Report, mltool, start

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.artifacts.writing import write_json
from mltool.datasets.columns import TARGET, column_writers
from mltool.datasets.schema import SCHEMA, Column, ImageSpec, Schema, Target, TensorSpec

# Axes: N samples, C channels, H height, W width

MIB = 1 << 20
LIMIT_BYTES = 640 * MIB
TIMES = 3
SMALL_BYTES = 40 * MIB
SIZE, CHUNK_ROWS, POLL_S = 64, 1024, 0.02
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def write_dataset(num_bytes: int, name: str) -> int:
    """Pictures of two classes, bright and dark, written straight into the store; returns how many."""
    generator = np.random.default_rng(0)
    num_rows = num_bytes // (3 * SIZE * SIZE)
    schema = Schema(
        columns=(Column("image", "image"),),
        inputs=(TensorSpec("image", "uint8", (3, SIZE, SIZE)),),
        target=Target("label", "class", ("bright", "dark")),
        image=ImageSpec(3, SIZE, SIZE),
    )
    specs = {"image": ("uint8", (3, SIZE, SIZE)), TARGET: ("int64", ())}
    with open_store().draft(ArtifactKind.dataset) as draft:
        for split, share in SHARES.items():
            with column_writers(draft.path(split), specs) as writers:
                for _ in range(max(1, int(num_rows * share) // CHUNK_ROWS)):
                    target_N = generator.integers(0, 2, CHUNK_ROWS)
                    noise_NCHW = generator.integers(0, 128, (CHUNK_ROWS, 3, SIZE, SIZE), dtype=np.uint8)
                    writers["image"].append(noise_NCHW + (1 - target_N).astype(np.uint8)[:, None, None, None] * 96)
                    writers[TARGET].append(target_N)
        write_json(draft.path(SCHEMA), schema.to_json())
        draft.commit(name, config={}, metrics={}, facts={})
    return num_rows


def peak_of(arguments: list[str], folder: Path, limit_bytes: int | None) -> tuple[int, int, float]:
    """Largest RssAnon in bytes of a process and its children, the exit code, and the seconds it took."""

    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))

    started, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(arguments, cwd=folder, stdout=talk, stderr=talk, preexec_fn=limit)
        while process.poll() is None:
            peak = max([peak, *(rss_anon(pid) for pid in (process.pid, *children(process.pid)))])
            time.sleep(POLL_S)
        if process.returncode:
            talk.seek(0)
            print(talk.read().decode(errors="replace")[-2000:], file=sys.stderr)
    return peak, process.returncode, time.monotonic() - started


def rss_anon(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:  # it has just ended
        pass
    return 0


def children(pid: int) -> list[int]:
    try:
        own = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*own, *(grandchild for child in own for grandchild in children(child))]


def measure(report: Report, folder: Path, limit_bytes: int, num_bytes: int) -> None:
    num_rows = write_dataset(num_bytes, "large")
    write_dataset(SMALL_BYTES, "small")
    options = ["epochs=1", "model.name=mlp", "model.args.hidden=8", "model.args.depth=1", "threads=1"]
    rows = []
    for name, limit in (("small", None), ("large", limit_bytes)):
        peak, code, seconds = peak_of(mltool("train", f"data.source={name}", *options), folder, limit)
        rows.append({
            "data": f"{name}, {num_bytes / MIB if name == 'large' else SMALL_BYTES / MIB:.0f} MiB",
            "limit_mib": limit / MIB if limit else "none",
            "rss_anon_peak_mib": peak / MIB, "exit_code": code, "wall_s": seconds,
        })  # fmt: skip
    report.table(f"mltool train, one epoch of {num_rows:,} pictures of {SIZE}x{SIZE}", rows)
    large = rows[1]
    if large["exit_code"]:
        large["rss_anon_peak_mib"] = float("inf")  # it needed more than it was given
    limit_mib = limit_bytes / MIB
    report.goal("peak of RssAnon on the large data", large["rss_anon_peak_mib"], at_most=limit_mib, unit="MiB")


def main() -> None:
    report = start(__file__, __doc__)
    if not sys.platform.startswith("linux"):
        report.without("everything", "RssAnon is read from /proc, which only Linux has")
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MLTOOL_HOME"] = str(Path(folder) / "store")
            measure(report, Path(folder), LIMIT_BYTES, (TIMES * LIMIT_BYTES) // (20 if report.quick else 1))
    report.finish()


if __name__ == "__main__":
    main()
