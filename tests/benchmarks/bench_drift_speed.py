"""What one drift check costs: 30 mixed columns and a window of 100,000 rows, against Evidently.

    python tests/benchmarks/bench_drift_speed.py [--evidently VENV] [--json OUT] [--quick]

20 columns of numbers (bell-shaped, skewed, counts, with gaps) and 10 of categories. mltool decides with the 2,000
reference rows that a model keeps, of the window likewise, and measures distances on 20,000 rows; Evidently's
DataDriftPreset, the drift report with its default tests, has 100,000 reference rows, as it is meant to be used. Neither
reads files in the measured part. The goal is on `check`; the row `load and check` also reads the reference and prepares
it, which a monitor does once. Both run on one thread, so that processor time is work.

Evidently needs an environment of its own: pip install "evidently==0.7.23" "pandas<3.1".
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import tempfile
from pathlib import Path

import numpy as np
from _drift_peer import Peer, has
from _harness import Cost, command_line, cost_of, interleave, ratio, report_of

from mltool.statistics.drift import Detector
from mltool.statistics.reference import Reference, build_reference

# Axes: N rows

NUM_NUMBERS, NUM_CATEGORIES, NUM_VALUES = 20, 10, 15
CHECK, LOAD, EVIDENTLY = "mltool, check", "mltool, load and check", "Evidently"


def rows_of(num_rows: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(num_rows, NUM_NUMBERS))
    numbers[:, 5:10] = np.exp(numbers[:, 5:10])
    numbers[:, 10:15] = random.poisson(3, (num_rows, 5))
    numbers[:, 15:][random.random((num_rows, 5)) < 0.05] = np.nan
    weights = 1 / np.arange(1, NUM_VALUES + 1)
    codes = random.choice(np.arange(1, NUM_VALUES + 1), (num_rows, NUM_CATEGORIES), p=weights / weights.sum())
    return {"numbers": numbers.astype(np.float32), "categories": codes}


def reference_of(rows: dict[str, np.ndarray]) -> Reference:
    return build_reference(
        numbers={f"n{i}": rows["numbers"][:, i] for i in range(NUM_NUMBERS)},
        categories={f"c{i}": (rows["categories"][:, i], NUM_VALUES) for i in range(NUM_CATEGORIES)},
        target_classes=None,
        rows=rows,
        outputs={},
        row_split="validation",
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--evidently", type=Path, metavar="VENV", help="an environment with Evidently")
    options = parser.parse_args()
    report = report_of(__file__, options)
    num_rows, rounds = (5_000, 1) if report.quick else (100_000, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference, window = rows_of(num_rows, 0), rows_of(num_rows, 1)
        reference_of(reference).save(folder / "reference")
        detector = Detector.of(Reference.load(folder / "reference"))
        variants = {
            CHECK: lambda: cost_of(lambda: detector.check(window, {})),
            LOAD: lambda: cost_of(lambda: Detector.of(Reference.load(folder / "reference")).check(window, {})),
        }
        peer = None
        if has(options.evidently, "evidently"):
            peer = Peer(options.evidently)
            paths = {"reference": folder / "reference_rows.npz", "window": folder / "window_rows.npz"}
            for key, rows in (("reference", reference), ("window", window)):
                np.savez(paths[key], **rows)
            request = {key: str(path) for key, path in paths.items()}
            request |= {"num_numbers": NUM_NUMBERS, "num_categories": NUM_CATEGORIES}

            def evidently() -> Cost:
                answer = peer.ask("evidently_report", **request)
                return Cost(answer["wall_s"], answer["cpu_s"])

            variants[EVIDENTLY] = evidently
        else:
            report.without(EVIDENTLY, "give `--evidently VENV`")
        costs = interleave(variants, rounds)
        if peer is not None:
            peer.close()
        report.costs(f"one drift check, 30 mixed columns, {num_rows:,} rows", costs, CHECK)
        if EVIDENTLY in costs:
            report.goal("Evidently's processor time, in ours", ratio(costs, EVIDENTLY, CHECK), at_least=100)
            report.goal("the same with loading the reference", ratio(costs, EVIDENTLY, LOAD), at_least=100)
    report.finish()


if __name__ == "__main__":
    main()
