"""A small problem to search on, with two clouds of points that touch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mltool
from mltool.stages.tune.result import Tuned

LINE = ["tune", "name=demo", "data.source=points.npz", "train.epochs=2", "train.threads=1", "space.lr=1e-3..0.1:log"]

NETWORK = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, blow_up: bool = False, width: int = 4):
            super().__init__()
            self.blow_up, self.layer = blow_up, nn.Linear(4, 2)
            if width > 100:
                raise ValueError("too wide")

        def forward(self, x):
            return self.layer(x) * (float("nan") if self.blow_up and self.training else 1.0)
"""

SMALL: dict[str, Any] = {
    "name": "demo",
    "data": {"source": "points.npz"},
    "model": {"args": {"hidden": 8}},
    "train": {"epochs": 4, "threads": 1},
}


@pytest.fixture(autouse=True)
def points(tmp_path: Path) -> Path:
    """Two clouds of points that touch."""
    random = np.random.default_rng(0)
    labels = np.arange(240) % 2
    inputs = random.normal(size=(240, 4)).astype(np.float32) + labels[:, None].astype(np.float32)
    path = tmp_path / "points.npz"
    np.savez(path, inputs=inputs, labels=labels)
    return path


def tune(**values: Any) -> Tuned:
    given = {**SMALL, **values}
    return mltool.tune(**{**given, "train": {**SMALL["train"], **given["train"]}})


def outline(found: Tuned) -> list[tuple[Any, ...]]:
    return [(t.outcome, t.point, t.value, t.curve) for t in found.trials]


def merged(values: dict[str, Any]) -> dict[str, Any]:
    return {**SMALL, **{key: {**SMALL.get(key, {}), **given} if isinstance(given, dict) and key != "space" else given
                        for key, given in values.items()}}  # fmt: skip
