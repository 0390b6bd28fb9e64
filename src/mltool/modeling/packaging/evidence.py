"""What a model carries besides its graph: samples, metrics, the reference, and the data of its report."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mltool.artifacts.checks import Check
from mltool.core import events
from mltool.datasets.columns import Columns
from mltool.datasets.schema import Schema
from mltool.modeling.packaging.made import Made
from mltool.reports.model_page import ModelReport, WorstSample
from mltool.runtimes.measure import intervals_of, is_finite
from mltool.runtimes.runner import Signature
from mltool.runtimes.samples import MAX_SAMPLES, Samples
from mltool.statistics.calibration import reliability_curve
from mltool.statistics.images import image_summaries
from mltool.statistics.metrics import confusion_matrix
from mltool.statistics.reference import Reference, build_reference

# Axes: N samples, C classes

_MAX_REFERENCE_ROWS = 2_000
_MAX_SUMMARY_ROWS = 20_000
_SUMMARY_CHUNK = 64
_MAX_INTERVAL_ROWS = 20_000
_LEVEL = 0.95
_NUM_WORST = 12


@dataclass(frozen=True, slots=True)
class Measured:
    """Outputs of the metrics split, and what they say."""

    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    outputs: Mapping[str, np.ndarray]
    target_N: np.ndarray

    def facts(self) -> dict[str, Any]:
        """What the artifact records beside the metrics."""
        return {"intervals": {name: list(ends) for name, ends in self.intervals.items()}, "confidence": _LEVEL}


def samples(made: Made, names: Sequence[str]) -> Samples:
    """Up to 256 evenly spaced samples of the metrics split, with the answers that every graph must give."""
    columns = made.splits[made.metrics_split]
    inputs, target = columns.take(_spread(len(columns), MAX_SAMPLES))
    outputs = made.form.answer(list(inputs.values()))
    named = dict(zip(names, inputs.values(), strict=True))
    return Samples(named, outputs, target if made.is_labelled else None)


def measure(made: Made) -> Measured:
    """The metrics of the metrics split, with intervals."""
    columns = made.splits[made.metrics_split]
    outputs = made.form.answer([columns.inputs[spec.name] for spec in made.schema.inputs])
    target_N = np.asarray(columns.target)
    if made.is_labelled and not is_finite(outputs):
        events.warning("some answers of the network are not finite, so it has no metrics")
    if not made.is_labelled or not is_finite(outputs):
        return Measured({}, {}, outputs, target_N)
    # With so many rows the intervals are narrower than anybody cares for, and cost seconds.
    bounds = intervals_of(made.task.kind, outputs, target_N, _LEVEL) if len(target_N) <= _MAX_INTERVAL_ROWS else {}
    return Measured(made.task.metrics(outputs, target_N), bounds, outputs, target_N)


def reference(made: Made) -> Reference:
    """What monitoring needs without the data: sketches of the training columns, held-out rows and their outputs."""
    held_out = made.splits[made.reference_split]
    train = made.splits.get("train", held_out)
    inputs, target_N = held_out.take(_spread(len(held_out), _MAX_REFERENCE_ROWS))
    outputs = made.form.answer(list(inputs.values()))
    correct = confidence = None
    if made.is_labelled and made.task.kind == "classification" and is_finite(outputs):
        probabilities_NC = outputs["probabilities"]
        correct = probabilities_NC.argmax(1) == target_N
        confidence = probabilities_NC.max(1).clip(0.0, 1.0)
    numbers, categories = _columns(made.schema, train)
    classes = made.schema.target.classes
    return build_reference(
        numbers=numbers,
        categories=categories,
        target_classes=np.bincount(train.target, minlength=len(classes)) if classes and made.is_labelled else None,
        rows=inputs,
        outputs=outputs,
        row_split=made.reference_split,
        correct=correct,
        confidence=confidence,
    )


def _columns(schema: Schema, train: Columns) -> tuple[dict[str, np.ndarray], dict[str, tuple[np.ndarray, int]]]:
    """The columns that a sketch makes sense of; pictures are summed up by brightness, contrast and sharpness."""
    numbers: dict[str, np.ndarray] = {}
    categories: dict[str, tuple[np.ndarray, int]] = {}
    for spec in schema.inputs:
        column = train.inputs[spec.name]
        if spec.name == "numbers" and schema.columns_of("number"):
            numbers |= {c.name: column[:, i] for i, c in enumerate(schema.columns_of("number"))}
        elif spec.name == "categories" and schema.columns_of("category"):
            vocabulary = schema.columns_of("category")
            categories |= {c.name: (column[:, i], len(c.vocabulary)) for i, c in enumerate(vocabulary)}
        elif len(spec.shape) == 3 and (spec.dtype == "uint8" or spec.dtype.startswith("float")):
            rows = _spread(len(column), _MAX_SUMMARY_ROWS)
            parts = [image_summaries(column[rows[i : i + _SUMMARY_CHUNK]]) for i in range(0, len(rows), _SUMMARY_CHUNK)]
            numbers |= {f"{spec.name}.{key}": np.concatenate([part[key] for part in parts]) for key in parts[0]}
        elif len(spec.shape) == 1 and spec.shape[0] <= 256 and spec.dtype == "float32":
            numbers |= {f"{spec.name}[{i}]": column[:, i] for i in range(spec.shape[0])}
    return numbers, categories


def report(
    made: Made,
    measured: Measured,
    checks: Sequence[Check],
    signature: Signature,
    name: str,
    facts: Mapping[str, Any],
) -> ModelReport:
    """The plain data of the model's page."""
    is_classification = bool(measured.metrics) and made.task.kind == "classification"
    is_regression = bool(measured.metrics) and made.task.kind == "regression"
    classes = made.schema.target.classes
    confusion = reliability = None
    if is_classification:
        probabilities_NC = measured.outputs["probabilities"]
        predicted_N = probabilities_NC.argmax(1)
        confusion = (confusion_matrix(measured.target_N, predicted_N, len(classes)), classes)
        reliability = reliability_curve(probabilities_NC.max(1).clip(0, 1), predicted_N == measured.target_N)
    signature_json = signature.to_json()
    return ModelReport(
        title=name,
        digest="",
        created_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        task=made.task.kind,
        metrics=measured.metrics,
        intervals=measured.intervals,
        metrics_split=made.metrics_split,
        checks=[check.to_json() for check in checks],
        history=list(made.history),
        confusion=confusion,
        reliability=reliability,
        prediction=measured.outputs["prediction"] if is_regression else None,
        target=measured.target_N if is_regression else None,
        worst_samples=_worst(made, measured) if is_classification or is_regression else (),
        config=made.config,
        lineage=[{"kind": p.kind.value, "name": p.name, "digest": p.digest, "role": p.role} for p in made.parents],
        host=facts["host"],
        inputs=signature_json["inputs"],
        outputs=signature_json["outputs"],
        next_commands=[f"mltool evaluate {name}", f"mltool predict {name} input=FILE"],
    )


def _worst(made: Made, measured: Measured) -> list[WorstSample]:
    """The samples with the largest loss, as pictures or as fields."""
    columns, classes = made.splits[made.metrics_split], made.schema.target.classes
    if made.task.kind == "classification":
        probability_N = measured.outputs["probabilities"][np.arange(len(columns)), measured.target_N]
        loss_N = -np.log(np.maximum(probability_N, 1e-12))
        predicted: list[Any] = [classes[code] for code in measured.outputs["probabilities"].argmax(1)]
        actual: list[Any] = [classes[code] for code in measured.target_N]
    else:
        loss_N = np.abs(measured.outputs["prediction"] - measured.target_N)
        predicted, actual = list(measured.outputs["prediction"]), list(measured.target_N)
    worst = np.argsort(-loss_N)[:_NUM_WORST]
    inputs, _ = columns.take(worst)
    return [
        (_shown(made.schema, inputs, i), predicted[row], actual[row], float(loss_N[row])) for i, row in enumerate(worst)
    ]


def _shown(schema: Schema, inputs: Mapping[str, np.ndarray], index: int) -> Any:
    """One sample as pixels [H,W] or [H,W,3], or as its fields."""
    first = schema.inputs[0]
    picture = inputs[first.name][index]
    if picture.ndim in (2, 3) and (picture.ndim == 2 or picture.shape[0] in (1, 3)):
        return drawable(picture)
    fields: dict[str, Any] = {}
    for kind, name in (("number", "numbers"), ("category", "categories")):
        for i, column in enumerate(schema.columns_of(kind)):  # type: ignore[arg-type]
            value = inputs[name][index, i]
            known = column.vocabulary
            fields[column.name] = (known[value - 1] if value else "unknown") if known else float(value)
    if not fields:
        fields = {f"{first.name}[{i}]": float(v) for i, v in enumerate(np.ravel(picture)[:8])}
    return fields


def drawable(picture: np.ndarray) -> np.ndarray:
    """[H,W], [1,H,W] or [3,H,W] of any dtype as uint8 [H,W] or [H,W,3]; floats are stretched to their own range."""
    if picture.dtype != np.uint8:
        picture = np.nan_to_num(picture.astype(np.float64), posinf=0.0, neginf=0.0)
        low, high = float(picture.min()), float(picture.max())
        picture = ((picture - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    if picture.ndim == 3:
        picture = picture[0] if picture.shape[0] == 1 else np.moveaxis(picture, 0, -1)
    return picture


def _spread(num_rows: int, most: int) -> np.ndarray:
    """At most `most` row numbers, evenly spaced; the same rows every time."""
    return np.unique(np.linspace(0, num_rows - 1, min(num_rows, most)).round().astype(np.int64))
