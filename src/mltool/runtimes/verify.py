"""The one check mechanism: does a graph answer as the eager float network did, on real samples, in a fresh process?

Run as `python -m mltool.runtimes.verify FOLDER`, it prints the checks of the model in FOLDER as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.artifacts.checks import Check
from mltool.core.errors import ArtifactError, InputError
from mltool.runtimes.measure import has_metrics, is_finite, main_metric, metrics_of
from mltool.runtimes.runner import Runner, Signature, load, unfinished
from mltool.runtimes.samples import SAMPLES, Samples

# Axes: N samples, C classes

CHECK_IDS = ("batch_sizes", "finite", "relative_error", "class_agreement", "task_metric_drop")
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a graph may differ from the eager float network; the defaults are for float32 graphs."""

    relative_error: float = 1e-4
    """Largest difference, divided by the largest magnitude of the reference."""

    class_agreement: float = 0.99
    """Smallest share of samples whose predicted class stays."""

    task_metric_drop: float = 0.01
    """Largest loss of the task metric, as a fraction of 1."""


def verify(runner: Runner, samples: Samples, limits: Limits, task: str = "custom") -> list[Check]:
    """Hold a runner against the answers that its samples carry.

    Args:
        task: `classification` and `regression` have a metric that every host can compute.
    """
    try:
        outputs = runner.run(samples.inputs)
        batch_check = _batch_sizes(runner, samples, outputs, limits)
    except InputError as error:
        return [
            Check.failed("batch_sizes", error.message),
            *(Check.not_run(name, "the graph does not run") for name in CHECK_IDS[1:]),
        ]
    names = [name for name, expected in samples.outputs.items() if np.issubdtype(expected.dtype, np.floating)]
    not_finite = [name for name in names if not np.isfinite(outputs[name]).all()]
    expected_finite = all(np.isfinite(samples.outputs[name]).all() for name in names)
    reason = "" if expected_finite else "; the eager network's answers are not finite either"
    finite = Check.failed("finite", f"{', '.join(not_finite)}{reason}") if not_finite else Check.passed("finite")
    error_value = max((relative_error(outputs[name], samples.outputs[name]) for name in names), default=0.0)
    return [
        batch_check,
        finite,
        Check.at_most("relative_error", error_value, limits.relative_error),
        _class_agreement(outputs, samples, limits),
        _task_metric(outputs, samples, limits, task),
    ]


def relative_error(actual: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Largest difference divided by the largest magnitude expected; elementwise ratios explode near 0."""
    if actual.shape != expected.shape:
        return float("inf")
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-12)
    return float(np.abs(actual.astype(np.float64) - expected).max(initial=0.0)) / scale


def _batch_sizes(runner: Runner, samples: Samples, whole: dict[str, Any], limits: Limits) -> Check:
    """Every batch size must give each sample the answer that it has among all; few samples are repeated."""
    sizes = sorted({1, 2, 5, len(samples)})
    for size in sizes:
        rows = np.arange(size) % len(samples)
        outputs = runner.run({name: array[rows] for name, array in samples.inputs.items()})
        for name, expected in whole.items():
            if len(outputs[name]) != size:
                return Check.failed("batch_sizes", f"a batch of {size} gives {len(outputs[name])} rows of `{name}`")
            if not np.allclose(outputs[name], expected[rows], rtol=limits.relative_error, atol=1e-5, equal_nan=True):
                return Check.failed("batch_sizes", f"a batch of {size} gives other values of `{name}`")
    return Check.passed("batch_sizes", f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]}")


def _class_agreement(outputs: dict[str, Any], samples: Samples, limits: Limits) -> Check:
    if "probabilities" not in samples.outputs or samples.outputs["probabilities"].ndim != 2:
        return _code_agreement(outputs, samples, limits)
    expected_NC, actual_NC = samples.outputs["probabilities"], outputs["probabilities"]
    if actual_NC.shape != expected_NC.shape:
        return Check.failed("class_agreement", f"{len(actual_NC)} answers for {len(expected_NC)} samples")
    same_N = expected_NC.argmax(1) == actual_NC.argmax(1)
    top_two = np.sort(expected_NC[~same_N], axis=1)[:, -2:]
    margins = ", ".join(f"{margin:.2g}" for margin in (top_two[:, 1] - top_two[:, 0])[:8]) if len(top_two) else ""
    detail = f"margins of the flipped: {margins}" if margins else ""
    return Check.at_least("class_agreement", float(same_N.mean()), limits.class_agreement, detail)


def _code_agreement(outputs: dict[str, Any], samples: Samples, limits: Limits) -> Check:
    """Whole-number outputs, such as a mask of classes, have no relative error: their values must stay."""
    codes = [name for name, expected in samples.outputs.items() if not np.issubdtype(expected.dtype, np.floating)]
    if not codes:
        return Check.not_run("class_agreement", "the model predicts no classes")
    pairs = [(outputs[name], samples.outputs[name]) for name in codes]
    shares = [
        float(np.mean(actual == expected)) if actual.shape == expected.shape else 0.0 for actual, expected in pairs
    ]
    return Check.at_least("class_agreement", min(shares), limits.class_agreement)


def _task_metric(outputs: dict[str, Any], samples: Samples, limits: Limits, task: str) -> Check:
    if samples.target is None:
        return Check.not_run("task_metric_drop", "the samples have no labels")
    if not has_metrics(task):
        return Check.not_run("task_metric_drop", "a custom task has no metric that every host can compute")
    if not is_finite(outputs) or len(next(iter(outputs.values()))) != len(samples):
        return Check.not_run("task_metric_drop", "the answers are not finite, or too few")
    name = main_metric(task)
    before, after = (metrics_of(task, answers, samples.target)[name] for answers in (samples.outputs, outputs))
    return Check.at_most("task_metric_drop", before - after, limits.task_metric_drop, f"{name} {before:.4f}")


def verify_in_fresh_process(
    folder: Path,
    signature: Signature,
    limits: Limits | None = None,
    *,
    task: str = "custom",
    run: Mapping[str, Any] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> list[Check]:
    """Load what is in `folder` in a new interpreter, and verify it there on the samples beside it.

    Args:
        run: Backend, threads and options, as in the config of a model.
    """
    wanted = {
        "signature": signature.to_json(),
        "limits": asdict(limits or Limits()),
        "task": task,
        "run": dict(run or {}),
    }
    # -P: a file in the current folder must not take the place of a library's.
    arguments = [sys.executable, "-P", "-m", "mltool.runtimes.verify", str(folder), json.dumps(wanted)]
    try:
        answer = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return _all_failed(f"the graph took longer than {timeout_s:g} s")
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines()
        return _all_failed(lines[-1] if lines else f"the process ended with {answer.returncode}")
    return [Check.from_json(check) for check in json.loads(answer.stdout)]


def _all_failed(reason: str) -> list[Check]:
    return [
        Check.failed("fresh_process", reason),
        *(Check.not_run(name, "the graph does not load") for name in CHECK_IDS),
    ]


def main(folder: Path, request: str) -> None:
    wanted = json.loads(request)
    try:
        runner = load(unfinished(folder, Signature.from_json(wanted["signature"]), wanted["run"]))
        samples = Samples.load(folder / SAMPLES)
        checks = [Check.passed("fresh_process"), *verify(runner, samples, Limits(**wanted["limits"]), wanted["task"])]
    except ArtifactError as error:
        checks = _all_failed(error.message)
    sys.stdout.write(json.dumps([check.to_json() for check in checks]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
