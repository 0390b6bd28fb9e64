"""Samples a second of an epoch over 20,000 small JPEGs: mltool after its first decode, against Pillow per item.

    python tests/benchmarks/bench_loading.py [--json OUT] [--quick]

The pictures (96x96, 2.4 kB on average) are made by this script. Two questions, each with its own rival, in batches of
64 in a new random order every epoch, on one thread:

- pixels: uint8 arrays [N,C,H,W] and labels, from mltool's memory-mapped columns or from Pillow;
- prepared: what the network gets, float32 scaled to mean 0 and deviation 1, as mltool's training loop gathers it
  (`MappedFeed` prepares when needed, `MemoryFeed` once) or from Pillow with the same scaling.

The files are in the page cache for both. The decode itself, which mltool does once, is shown beside them.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from _harness import Cost, Report, cost_of, interleave, ratio, start
from PIL import Image

import mltool
from mltool.datasets.columns import Columns
from mltool.datasets.dataset import Dataset
from mltool.datasets.sampler import Sampler
from mltool.modeling import preprocess
from mltool.modeling.training.feed import Feed, MappedFeed, MemoryFeed

# Axes: N samples, C channels, H height, W width

SIZE, BATCH_SIZE, NUM_CLASSES = 96, 64, 10
PILLOW_PIXELS, PILLOW_PREPARED = "Pillow per item, pixels", "Pillow per item, prepared"
COLUMNS, MAPPED, MEMORY = "mltool columns, pixels", "mltool MappedFeed, prepared", "mltool MemoryFeed, prepared"


def write_pictures(folder: Path, num_pictures: int) -> list[Path]:
    """Smooth random pictures, one folder a class; a hundred different ones, so that writing them takes seconds."""
    generator = np.random.default_rng(0)
    files = []
    for index in range(100):
        blobs = Image.fromarray(generator.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        stream = io.BytesIO()
        blobs.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=85)
        own = folder / str(index % NUM_CLASSES)
        own.mkdir(parents=True, exist_ok=True)
        files += [own / f"{index:03d}-{copy:04d}.jpg" for copy in range(num_pictures // 100)]
        for file in files[-(num_pictures // 100) :]:
            file.write_bytes(stream.getvalue())
    return files


def from_pillow(files: Sequence[Path], epoch: int, scaling: torch.nn.Module | None) -> None:
    order_N = np.random.default_rng(epoch).permutation(len(files))
    with torch.no_grad():
        for start_row in range(0, len(files), BATCH_SIZE):
            pictures = []
            for row in order_N[start_row : start_row + BATCH_SIZE]:
                with Image.open(files[row]) as picture:
                    pictures.append(np.asarray(picture.convert("RGB")))
            batch_NCHW = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
            if scaling is not None:
                scaling(batch_NCHW)


def from_columns(columns: Columns, epoch: int) -> None:
    order_N = np.random.default_rng(epoch).permutation(len(columns))
    for start_row in range(0, len(columns), BATCH_SIZE):
        columns.take(order_N[start_row : start_row + BATCH_SIZE])


def from_feed(feed: Feed, epoch: int) -> None:
    for block in Sampler(len(feed), BATCH_SIZE, seed=0).blocks(epoch, num_batches=1):
        feed.gather(block.rows_N)


def measure(report: Report, folder: Path, num_pictures: int, rounds: int) -> None:
    files = write_pictures(folder / "pictures", num_pictures)
    made: list[Dataset] = []
    everything_trains = {"validation_fraction": 0.0, "test_fraction": 0.0}
    decode = cost_of(
        lambda: made.append(Dataset(mltool.data.add(source=str(folder / "pictures"), **everything_trains)))
    )
    columns, schema = made[0].split("train"), made[0].schema
    scaling = preprocess.fit(schema, columns)
    target_N = torch.from_numpy(np.array(columns.target))
    mapped = MappedFeed(columns, ["image"], scaling, target_N)
    memory = MemoryFeed(mapped.gather(np.arange(len(columns)))[0], target_N)
    turn = iter(range(10**6))
    variants: dict[str, Callable[[], None]] = {
        PILLOW_PIXELS: lambda: from_pillow(files, next(turn), None),
        COLUMNS: lambda: from_columns(columns, next(turn)),
        PILLOW_PREPARED: lambda: from_pillow(files, next(turn), scaling[0]),
        MAPPED: lambda: from_feed(mapped, next(turn)),
        MEMORY: lambda: from_feed(memory, next(turn)),
    }
    costs = interleave({name: lambda run=run: cost_of(run) for name, run in variants.items()}, rounds)
    costs["mltool, the first decode"] = [decode] * rounds
    report.costs(f"{len(columns):,} pictures of {SIZE}x{SIZE}: one epoch", costs, PILLOW_PIXELS)
    report.table(
        "pictures a second",
        [
            {"variant": name, "wall": len(columns) / middle(own, "wall_s"), "cpu": len(columns) / middle(own, "cpu_s")}
            for name, own in costs.items()
        ],
    )
    report.goal("pixels: columns against Pillow", ratio(costs, PILLOW_PIXELS, COLUMNS), at_least=20)
    for name in (MAPPED, MEMORY):
        report.goal(
            f"prepared: {name.split()[1][:-1]} against Pillow", ratio(costs, PILLOW_PREPARED, name), at_least=20
        )


def middle(costs: Sequence[Cost], of: str) -> float:
    return float(np.median([getattr(cost, of) for cost in costs]))


def main() -> None:
    report = start(__file__, __doc__)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLTOOL_HOME"] = str(Path(folder) / "store")
        num_pictures, rounds = (2_000, 2) if report.quick else (20_000, 5)
        measure(report, Path(folder), num_pictures, rounds)
    report.finish()


if __name__ == "__main__":
    main()
