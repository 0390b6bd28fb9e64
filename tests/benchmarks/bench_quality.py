"""How good models are that `mltool train` makes with its defaults: the digits, and diamonds against scikit-learn.

    python tests/benchmarks/bench_quality.py [--json OUT] [--quick]

Digits: the command as it stands, its accuracy and the time on the wall from the shell to the report. Diamonds (53,940
rows, in the plotnine wheel): `cut` from the rest by accuracy and `price` from the rest by R², both with `mltool train`
and no other key than the source, the label and three seeds, of which the worst counts. The rivals, at their defaults,
are HistGradientBoosting with its categories named and a linear or logistic model on scaled numbers and one-hot
categories; they get the same rows to learn from (training and validation) and the same test rows, all read from the
dataset that mltool made.

Peers that are not installed are left out: `pip install plotnine scikit-learn`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _harness import Cost, Report, cost_of, is_installed, mltool, run_process, start

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.datasets.dataset import Dataset

# Axes: N samples, F number columns, K category columns

Table = tuple[npt.NDArray[Any], npt.NDArray[Any]]
SEEDS = (0, 1, 2)
METRIC = {"cut": "accuracy", "price": "r2"}


def train(folder: Path, *overrides: str) -> tuple[dict[str, float], Cost]:
    """The metrics of the test split, and what `mltool train` cost."""
    cost = run_process(mltool("train", *overrides), folder)
    shown = subprocess.run(mltool("models", "show", "latest", "--json"), cwd=folder, capture_output=True, check=True)
    return json.loads(shown.stdout)["metrics"], cost


def digits(report: Report, folder: Path, *overrides: str) -> None:
    metrics, cost = train(folder, *overrides)
    row = {"accuracy": metrics["accuracy"], "wall_s": cost.wall_s, "cpu_s": cost.cpu_s}
    report.table("digits: mltool train", [row])
    report.goal("digits: test accuracy", metrics["accuracy"], at_least=0.97, unit="")
    report.goal("digits: from the shell to the report", cost.wall_s, at_most=30, unit="s")


def write_diamonds(path: Path) -> None:
    from plotnine.data import diamonds

    diamonds.to_csv(path, index=False)


def table_of(dataset: Dataset, *splits: str) -> Table:
    """Numbers and category codes side by side [N,F+K], and the target."""
    parts = [dataset.split(split) for split in splits]
    rows = [np.hstack([part.inputs["numbers"], part.inputs["categories"].astype(np.float32)]) for part in parts]
    return np.concatenate(rows), np.concatenate([part.target for part in parts])


def rivals(dataset: Dataset, *, is_classification: bool) -> dict[str, Any]:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    num_numbers, num_categories = (len(dataset.schema.columns_of(kind)) for kind in ("number", "category"))
    categories = list(range(num_numbers, num_numbers + num_categories))
    columns = make_column_transformer(
        (StandardScaler(), list(range(num_numbers))), (OneHotEncoder(handle_unknown="ignore"), categories)
    )
    boosting = HistGradientBoostingClassifier if is_classification else HistGradientBoostingRegressor
    linear = LogisticRegression(max_iter=1000) if is_classification else LinearRegression()
    return {
        "HistGradientBoosting": boosting(categorical_features=categories, random_state=0),
        "logistic regression" if is_classification else "linear regression": make_pipeline(columns, linear),
    }


def diamonds(report: Report, folder: Path, label: str, seeds: Sequence[int], *overrides: str) -> None:
    metric, rows = METRIC[label], []
    for seed in seeds:
        job = ("data.source=diamonds.csv", f"data.label={label}", f"name={label}", f"seed={seed}", *overrides)
        metrics, cost = train(folder, *job)
        rows.append({
            "model": f"mltool train seed={seed}", metric: metrics[metric], "wall_s": cost.wall_s, "cpu_s": cost.cpu_s
        })  # fmt: skip
    worst = min(row[metric] for row in rows)
    dataset = Dataset(open_store().find("latest", ArtifactKind.dataset))
    (seen_NF, target_N), (test_NF, expected_N) = table_of(dataset, "train", "validation"), table_of(dataset, "test")
    for name, model in rivals(dataset, is_classification=label == "cut").items():
        fitted = cost_of(lambda model=model: model.fit(seen_NF, target_N))
        score = float(model.score(test_NF, expected_N))  # accuracy, or R²
        rows.append({"model": name, metric: score, "wall_s": fitted.wall_s, "cpu_s": fitted.cpu_s})
    report.table(f"diamonds: {label} from the rest, {len(expected_N):,} test rows", rows)
    behind = max(row[metric] for row in rows[len(seeds) :]) - worst
    report.goal(f"diamonds, {label}: {metric} of the worst seed behind the better rival", behind, at_most=0.02, unit="")


def main() -> None:
    report = start(__file__, __doc__)
    short = ["epochs=1"] if report.quick else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MLTOOL_HOME"] = str(folder / "store")
        digits(report, folder, *short)
        missing = [module for module in ("plotnine", "sklearn") if not is_installed(module)]
        for module in missing:
            report.without("diamonds", f"`{module}` is not installed")
        if not missing:
            write_diamonds(folder / "diamonds.csv")
            for label in METRIC:
                diamonds(report, folder, label, SEEDS[:1] if report.quick else SEEDS, *short)
    report.finish()


if __name__ == "__main__":
    main()
