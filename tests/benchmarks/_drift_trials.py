"""Windows that drifted, and windows that did not, drawn from data that ships with scikit-learn.

Each set is cut once: some rows train the model, which never sees the rest. A trial deals the rest anew into a reference
and a pool, and draws its window from the pool, so that without a shift both are exchangeable by construction.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

# Axes: N rows, F features

NONE = "none"
SHIFTS = {
    "digits": (
        "noise 1", "noise 2", "noise 4", "blur 0.4", "blur 0.6", "blur 1.0", "rotate 5", "rotate 15", "rotate 30",
        "scale 0.95", "scale 0.85", "scale 0.6", "dead 1", "dead 4", "without class 0, half", "without class 0",
        "25% class 3", "half of the bright", "rotate 30, 20% of rows", "noise 4, 20% of rows",
    ),
    "breast_cancer": (
        "scale two 1.05", "scale two 1.15", "scale two 1.5", "noise 0.25", "noise 0.5", "noise 1.0", "dead 1",
        "three constant", "without class 0, half", "without class 0", "half of the large",
    ),
}  # fmt: skip
NUM_TRAIN = {"digits": 600, "breast_cancer": 169}
NUM_REFERENCE = {"digits": 600, "breast_cancer": 200}
WINDOW_ROWS = {"digits": (50, 100, 200, 500), "breast_cancer": (25, 50, 100, 150)}


@dataclass(frozen=True)
class Trial:
    """Rows [N,F] and the probabilities of a model for them."""

    reference: np.ndarray
    reference_probabilities: np.ndarray
    window: np.ndarray
    window_probabilities: np.ndarray


@dataclass(frozen=True)
class World:
    """The rows that no model was trained on, also as each shift would leave them."""

    target_N: np.ndarray
    train_NF: np.ndarray
    rows: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]


@cache
def world(name: str) -> World:
    load = {"digits": load_digits, "breast_cancer": load_breast_cancer}[name]
    rows_NF, target_N = load(return_X_y=True)
    rows_NF = rows_NF.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(rows_NF))
    train, rest = order[: NUM_TRAIN[name]], order[NUM_TRAIN[name] :]
    scaler = StandardScaler().fit(rows_NF[train])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier((64,), max_iter=400, random_state=0).fit(
            scaler.transform(rows_NF[train]), target_N[train]
        )
    shift = _digits_shift if name == "digits" else _table_shift(rows_NF[train])
    rows = {NONE: rows_NF[rest]}
    for described in SHIFTS[name]:
        base = described.partition(",")[0]
        if base.split()[0] not in ("without", "25%", "half") and base not in rows:
            rows[base] = shift(base, rows_NF[rest]).astype(np.float32)
    probabilities = {base: model.predict_proba(scaler.transform(own)).astype(np.float32) for base, own in rows.items()}
    return World(target_N[rest], rows_NF[train], rows, probabilities)


def trial(name: str, shift: str, num_rows: int, seed: int) -> Trial:
    own = world(name)
    random = np.random.default_rng([seed, num_rows, (NONE, *SHIFTS[name]).index(shift)])
    dealt = random.permutation(len(own.target_N))
    reference, pool = dealt[: NUM_REFERENCE[name]], dealt[NUM_REFERENCE[name] :]
    base, share = shift.partition(",")[0], 0.2 if shift.endswith("20% of rows") else 1.0
    if base not in own.rows:
        pool, base = _chosen(own, name, shift, pool, num_rows, random), NONE
    window = random.permutation(pool)[:num_rows]
    is_shifted = random.random(len(window)) < share
    rows, probabilities = own.rows[NONE][window].copy(), own.probabilities[NONE][window].copy()
    rows[is_shifted] = own.rows[base][window[is_shifted]]
    probabilities[is_shifted] = own.probabilities[base][window[is_shifted]]
    return Trial(own.rows[NONE][reference], own.probabilities[NONE][reference], rows, probabilities)


def _chosen(
    own: World, name: str, shift: str, pool: np.ndarray, num_rows: int, random: np.random.Generator
) -> np.ndarray:
    """The rows of the pool that are left when something decides which ones come."""
    target = own.target_N[pool]
    if shift.startswith("without"):
        return pool[(target != 0) | (random.random(len(pool)) > (0.5 if shift.endswith("half") else 1.0))]
    if shift.startswith("25%"):
        threes, others = pool[target == 3], pool[target != 3]
        num_threes = min(len(threes), round(num_rows / 4))
        return np.concatenate([threes[:num_threes], others[: num_rows - num_threes]])
    size = own.rows[NONE].mean(axis=1) if name == "digits" else own.rows[NONE][:, 0]
    return pool[(size[pool] < np.median(size)) | (random.random(len(pool)) > 0.5)]


def _digits_shift(shift: str, rows_NF: np.ndarray) -> np.ndarray:
    what, _, amount = shift.rpartition(" ")
    pictures, value = rows_NF.reshape(-1, 8, 8), float(amount)
    shifted: dict[str, Callable[[], np.ndarray]] = {
        "noise": lambda: np.clip(rows_NF + np.random.default_rng(7).normal(0, value, rows_NF.shape), 0, 16),
        "blur": lambda: np.stack([ndimage.gaussian_filter(picture, value) for picture in pictures]),
        "rotate": lambda: np.clip(ndimage.rotate(pictures, value, axes=(2, 1), reshape=False, order=1), 0, 16),
        "scale": lambda: rows_NF * value,
        "dead": lambda: _with(rows_NF, [28] if value == 1 else [27, 28, 35, 36], 0),
    }
    return shifted[what]().reshape(rows_NF.shape)


def _table_shift(train_NF: np.ndarray) -> Callable[[str, np.ndarray], np.ndarray]:
    sd_F, mean_F = train_NF.std(axis=0), train_NF.mean(axis=0)

    def shift(described: str, rows_NF: np.ndarray) -> np.ndarray:
        what, _, amount = described.rpartition(" ")
        if what == "noise":
            return rows_NF + np.random.default_rng(7).normal(0, 1, rows_NF.shape) * sd_F * float(amount)
        if what == "scale two":
            return _with(rows_NF, [0, 7], rows_NF[:, [0, 7]] * float(amount))
        if what == "dead":
            return _with(rows_NF, [7], 0)
        return _with(rows_NF, [0, 7, 20], mean_F[[0, 7, 20]])

    return shift


def _with(rows_NF: np.ndarray, columns: list[int], values: object) -> np.ndarray:
    changed = rows_NF.copy()
    changed[:, columns] = values
    return changed
