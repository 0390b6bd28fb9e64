"""Windows for the models of `small_models`, as files and as prediction logs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.records.deployment import Live
from mltool.records.ledger import Ledger
from mltool.records.prediction_log import PredictionLog
from mltool.runtimes.runner import load


def table_rows(num_rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows as `table_model` was made with."""
    random = np.random.default_rng([seed, 5])
    numbers = random.normal(size=(num_rows, 2)).astype(np.float32)
    numbers[random.random(num_rows) < 0.2, 0] = np.nan
    return {"numbers": numbers, "categories": random.integers(0, 3, (num_rows, 1))}


def write_csv(path: Path, rows: dict[str, np.ndarray], *, without: str = "", **more: str) -> None:
    """The rows as people have them; `more` are further columns with one value each."""
    columns = {
        "length": ["" if np.isnan(x) else str(x) for x in rows["numbers"][:, 0]],
        "width": ["" if np.isnan(x) else str(x) for x in rows["numbers"][:, 1]],
        "colour": [("blue", "red", "green")[code] for code in rows["categories"][:, 0]],
    }
    columns.pop(without, None)
    columns |= {name: [value] * len(rows["numbers"]) for name, value in more.items()}
    lines = [",".join(columns), *(",".join(cells) for cells in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")


def put_into_service(store: Store, model: Artifact, name: str = "shop", **config: Any) -> Path:
    """Enter a model into the ledger as if it answered, and return the folder of its prediction log."""
    ledger = Ledger(store.root)
    with ledger.locked(name, target="local") as deployment:
        deployment.went_live(deployment.add_version(model, config).number, Live())
    return ledger.predictions(name)


def log_requests(
    folder: Path,
    model: Artifact,
    rows: dict[str, np.ndarray],
    *,
    name: str = "shop",
    worker: int = 0,
    ago_s: float = 60.0,
    keep_inputs: bool = True,
    status: int = 200,
    every_s: float = 0.01,
) -> None:
    """Record one request a row, the first `ago_s` before now."""
    outputs = load(model).run(rows)
    log = PredictionLog(folder, worker)
    began_s = time.time() - ago_s
    for row in range(len(rows["numbers"])):
        one = slice(row, row + 1)
        log.append(
            f"{worker}-{row}-{ago_s}",
            began_s + row * every_s,
            name,
            model.digest,
            status,
            1.0,
            {key: array[one] for key, array in rows.items()} if keep_inputs else None,
            {key: array[one] for key, array in outputs.items()},
        )
    log.close()
    assert log.num_dropped == 0
