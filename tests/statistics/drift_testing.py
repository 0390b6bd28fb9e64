"""A small world to watch: a mixed table and the answers to it, as often as wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mltool.statistics.reference import Reference, build_reference

# Axes: N rows, C classes

NUMBERS = ("age", "income", "visits", "constant", "rare")
CATEGORIES = ("colour", "town")
CLASSES = ("no", "perhaps", "yes")


@dataclass
class Rows:
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]

    def __getitem__(self, rows: slice) -> Rows:
        return Rows({k: v[rows] for k, v in self.inputs.items()}, {k: v[rows] for k, v in self.outputs.items()})

    def column(self, name: str) -> np.ndarray:
        """A column of the inputs, to be changed in place."""
        if name in NUMBERS:
            return self.inputs["numbers"][:, NUMBERS.index(name)]
        return self.inputs["categories"][:, CATEGORIES.index(name)]


def rows(num_rows: int, seed: int) -> Rows:
    """Columns that depend on each other, with ties, gaps, a constant and codes that are not known."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, num_rows)
    numbers = np.stack(
        [
            age,
            np.exp(rng.normal(age / 20, 1)),
            rng.poisson(1.5, num_rows),
            np.full(num_rows, 7.0),
            np.where(rng.random(num_rows) < 0.97, 0.0, rng.random(num_rows)),
        ],
        axis=1,
    ).astype(np.float32)
    numbers[rng.random(num_rows) < 0.1, 1] = np.nan
    categories = np.stack([rng.choice(4, num_rows, p=(0.02, 0.5, 0.3, 0.18)), rng.integers(0, 40, num_rows)], axis=1)
    logits = np.stack([age / 10, numbers[:, 2], categories[:, 0] * 2.0], axis=1) + rng.normal(0, 0.5, (num_rows, 3))
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    outputs = {"logits": logits.astype(np.float32), "probabilities": probabilities.astype(np.float32)}
    return Rows({"numbers": numbers, "categories": categories}, outputs)


def reference(num_rows: int = 500, seed: int = 0) -> Reference:
    train, held_out = rows(1_000, seed + 1_000_000), rows(num_rows, seed)
    return build_reference(
        numbers={name: train.column(name) for name in NUMBERS},
        categories={"colour": (train.column("colour"), 3), "town": (train.column("town"), 39)},
        target_classes=np.array([400, 300, 300]),
        rows=held_out.inputs,
        outputs=held_out.outputs,
        row_split="test",
    )
