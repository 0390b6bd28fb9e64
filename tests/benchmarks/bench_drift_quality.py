"""How often the drift check is wrong without a shift, and how often right with one, against its peers.

    python tests/benchmarks/bench_drift_quality.py [--evidently VENV] [--alibi VENV] [--json OUT] [--quick]

False alarms: 400 windows without a shift, on models that `mltool train` makes of the two embedded sets. Their held-out
rows are dealt anew into a reference and a window each time, so that the nominal 5% is what is expected.

Power: 31 shifts of digits and breast_cancer (`_drift_trials.py`), at four window sizes, the same trials for all:

* alibi-detect's KSDrift with its defaults: a KS test for each input, and Bonferroni;
* Evidently's default: the dataset drifted if at least half of its columns have a KS test below 0.05.

Their rules are applied by scipy, because a report takes up to a second. Given their environments, the libraries decide
the first trials of every fifth setting themselves, and the benchmark says how often both agree.

A peer is better if the 95% interval of the paired difference in power, over all shifts of a window size, lies above 0.

The peers want other versions than mltool does, so they live in environments of their own:

    pip install "evidently==0.7.23" "pandas<3.1"
    pip install "alibi-detect==0.13.0" "pyarrow<22"
"""

from __future__ import annotations

import os
import sys

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _drift_peer import Peer, has
from _drift_trials import NONE, NUM_REFERENCE, SHIFTS, WINDOW_ROWS, Trial, trial, world
from _harness import Report, command_line, report_of

import mltool
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.datasets.dataset import Dataset
from mltool.runtimes.runner import load, run_all
from mltool.statistics.drift import Detector
from mltool.statistics.intervals import wilson_interval
from mltool.statistics.reference import Reference, build_reference

ALPHA = 0.05
OURS, ALIBI, EVIDENTLY = "mltool", "alibi-detect", "Evidently"
EMBEDDED = {"digits": (500, (50, 100, 200, 500)), "penguins": (130, (50, 100))}
"""Rows of the reference, and window sizes as far as the set allows."""


def null_windows(report: Report, num_windows: int, sizes_at_most: int) -> None:
    rows = []
    for name, (num_reference, sizes) in EMBEDDED.items():
        model = mltool.train(
            f"data.source={name}", "data.validation_fraction=0.4", "data.test_fraction=0.4", "epochs=15", f"name={name}"
        )
        reference = Reference.load(model.path / "reference")
        dataset = Dataset(open_store().find(name, ArtifactKind.dataset))
        parts = [dataset.split(split).inputs for split in ("validation", "test")]
        inputs = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        outputs = run_all(load(model), inputs, 256)
        num_rows = len(next(iter(inputs.values())))
        for size in [size for size in sizes if size <= sizes_at_most]:
            alarms = 0
            for seed in range(num_windows):
                dealt = np.random.default_rng([seed, size]).permutation(num_rows)
                kept, window = dealt[:num_reference], dealt[num_reference : num_reference + size]
                detector = Detector.of(_with_rows(reference, inputs, outputs, kept))
                alarms += detector.check(_take(inputs, window), _take(outputs, window), alpha=ALPHA, seed=seed).alarm
            low, high = wilson_interval(alarms, num_windows)
            share = alarms / num_windows
            rows.append({"set": name, "window": size, "reference": num_reference, "windows": num_windows,
                         "false alarms": share, "from": low, "to": high})  # fmt: skip
            report.goal(f"{name}, windows of {size}: false alarms", share, at_least=0.02, at_most=0.08, unit="")
    report.table("false alarms at a nominal 0.05, with 95% intervals", rows)


def _with_rows(
    reference: Reference, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray], kept: np.ndarray
) -> Reference:
    from dataclasses import replace

    return replace(reference, rows=_take(inputs, kept), outputs=_take(outputs, kept))


def _take(arrays: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in arrays.items()}


def ours(name: str, trials: Sequence[Trial]) -> list[bool]:
    train_NF = world(name).train_NF
    decisions = []
    for seed, one in enumerate(trials):
        reference = build_reference(
            numbers={f"f{i}": train_NF[:, i] for i in range(train_NF.shape[1])},
            categories={},
            target_classes=None,
            rows={"numbers": one.reference},
            outputs={"probabilities": one.reference_probabilities},
            row_split="validation",
        )
        window = {"numbers": one.window}, {"probabilities": one.window_probabilities}
        decisions.append(Detector.of(reference).notices(*window, alpha=ALPHA, seed=seed))
    return decisions


def ks_p_values(one: Trial) -> np.ndarray:
    """Of a two-sample KS test for each column that is not constant, as both peers do it.

    The asymptotic p-value, and near the limits that decide the exact one, which takes a hundred times as long.
    """
    from scipy.stats import ks_2samp, kstwo

    num_reference, num_window, num_columns = len(one.reference), len(one.window), one.reference.shape[1]
    found = []
    for a, b in zip(np.sort(one.reference, axis=0).T, np.sort(one.window, axis=0).T, strict=True):
        if a[0] == a[-1] == b[0] == b[-1]:
            continue
        values = np.concatenate([a, b])
        cdfs = [np.searchsorted(own, values, side="right") / len(own) for own in (a, b)]
        largest = np.abs(cdfs[0] - cdfs[1]).max()
        p = float(kstwo.sf(largest, round(num_reference * num_window / (num_reference + num_window))))
        is_near = any(limit / 4 < p < 4 * limit for limit in (ALPHA, ALPHA / num_columns))
        found.append(float(ks_2samp(a, b).pvalue) if is_near else p)
    return np.array(found)


class Peers:
    """The decisions of the peers by their rules, and how often the libraries agree with them."""

    def __init__(self, report: Report, evidently: Path | None, alibi: Path | None) -> None:
        self.agreements: dict[str, list[bool]] = {ALIBI: [], EVIDENTLY: []}
        self._libraries: list[tuple[str, str, Peer, int]] = []
        for who, package, question, venv, num_checked in (
            (ALIBI, "alibi_detect", "alibi_decisions", alibi, 12),
            (EVIDENTLY, "evidently", "evidently_decisions", evidently, 3),
        ):
            if venv is not None and has(venv, package):
                self._libraries.append((who, question, Peer(venv), num_checked))
            else:
                report.without(f"{who} itself", "its rule is applied by scipy; give its environment")

    def decide(self, trials: Sequence[Trial], *, ask_libraries: bool) -> dict[str, list[bool]]:
        p_values = [ks_p_values(one) for one in trials]
        num_columns = trials[0].reference.shape[1]
        decisions = {
            ALIBI: [bool(p.min() < ALPHA / num_columns) for p in p_values],
            EVIDENTLY: [bool(np.mean(p < ALPHA) >= 0.5) for p in p_values],
        }
        for who, question, peer, num_checked in self._libraries if ask_libraries else ():
            answered = _asked(peer, question, trials[:num_checked])
            self.agreements[who] += [a == b for a, b in zip(answered, decisions[who], strict=False)]
        return decisions

    def close(self) -> None:
        for _, _, peer, _ in self._libraries:
            peer.close()


def _asked(peer: Peer, question: str, trials: Sequence[Trial]) -> list[bool]:
    with tempfile.TemporaryDirectory() as folder:
        paths = {key: f"{folder}/{key}.npy" for key in ("reference", "window")}
        np.save(paths["reference"], np.stack([one.reference for one in trials]))
        np.save(paths["window"], np.stack([one.window for one in trials]))
        decisions: list[bool] = peer.ask(question, **paths)["decisions"]
    return decisions


def power(report: Report, peers: Peers, num_null: int, num_trials: int, names: Sequence[str]) -> None:
    for name in names:
        sizes, by_shift = [], []
        for size in WINDOW_ROWS[name]:
            found: dict[str, dict[str, list[bool]]] = {}
            for place, shift in enumerate((NONE, *SHIFTS[name])):
                trials = [trial(name, shift, size, seed) for seed in range(num_null if shift == NONE else num_trials)]
                # Classes may run out: the windows of a set must be of one size to be stacked.
                smallest = min(len(one.window) for one in trials)
                trials = [Trial(t.reference, t.reference_probabilities, t.window[:smallest],
                                t.window_probabilities[:smallest]) for t in trials]  # fmt: skip
                print(f"{name}, {size} rows: {shift}", file=sys.stderr)
                found[shift] = {OURS: ours(name, trials), **peers.decide(trials, ask_libraries=place % 5 == 2)}
            null = {who: np.mean(alarms) for who, alarms in found.pop(NONE).items()}
            flat = {who: np.concatenate([found[shift][who] for shift in found]).astype(float) for who in null}
            row = {"set": name, "window": size, **{f"{who}, false alarms": null[who] for who in null}}
            for who in flat:
                row |= {f"{who}, power": float(flat[who].mean())}
            for who in (ALIBI, EVIDENTLY):
                low, high = _difference(found, OURS, who)
                row |= {f"{who} behind, from": low, f"{who} behind, to": high}
                report.goal(
                    f"{name}, windows of {size}: power of {who} above ours at most by", -high, at_most=0, unit=""
                )
            sizes.append(row)
            by_shift.append({shift: {who: float(np.mean(found[shift][who])) for who in flat} for shift in found})
        _show(report, name, sizes, by_shift)


def _difference(found: dict[str, dict[str, list[bool]]], ours: str, peer: str) -> tuple[float, float]:
    """The 95% interval of our mean power less the peer's; trials are paired, and shifts are not drawn but given."""
    means, variances = [], []
    for decisions in found.values():
        paired = np.array(decisions[ours], float) - np.array(decisions[peer], float)
        means.append(paired.mean())
        variances.append(paired.var(ddof=1) / len(paired))
    middle, half = float(np.mean(means)), 1.96 * float(np.sqrt(np.sum(variances))) / len(means)
    return middle - half, middle + half


def _show(report: Report, name: str, sizes: list[dict], by_shift: list[dict]) -> None:
    title = f"{name}: {NUM_REFERENCE[name]} reference rows; `behind` is the 95% interval of ours less theirs"
    report.table(
        f"{title}", [{key.replace("false alarms", "FA"): value for key, value in row.items()} for row in sizes]
    )
    rows = []
    for shift in by_shift[0]:
        row: dict[str, object] = {"shift": shift}
        for size, own in zip(WINDOW_ROWS[name], by_shift, strict=True):
            row[f"n={size}"] = " / ".join(f"{own[shift][who]:.2f}" for who in (OURS, ALIBI, EVIDENTLY))
        rows.append(row)
    report.table(f"{name}: power by shift, {OURS} / {ALIBI} / {EVIDENTLY}", rows)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--evidently", type=Path, metavar="VENV", help="an environment with Evidently")
    parser.add_argument("--alibi", type=Path, metavar="VENV", help="an environment with alibi-detect")
    parser.add_argument("--part", choices=("false-alarms", "power", "all"), default="all", help="what is measured")
    options = parser.parse_args()
    report = report_of(__file__, options)
    if options.part != "power":
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MLTOOL_HOME"] = str(Path(folder) / "store")
            null_windows(report, *((20, 50) if report.quick else (400, 500)))
    if options.part != "false-alarms":
        against_peers(report, options.evidently, options.alibi)
    report.finish()


def against_peers(report: Report, evidently: Path | None, alibi: Path | None) -> None:
    peers = Peers(report, evidently, alibi)
    num_null, num_trials = (20, 4) if report.quick else (200, 25)
    try:
        power(report, peers, num_null, num_trials, tuple(SHIFTS)[1:] if report.quick else tuple(SHIFTS))
    finally:
        peers.close()
    for who, agreed in peers.agreements.items():
        if agreed:
            what = f"{who} itself agrees with its rule, of {len(agreed)} trials"
            report.goal(what, float(np.mean(agreed)), at_least=0.95, unit="")


if __name__ == "__main__":
    main()
