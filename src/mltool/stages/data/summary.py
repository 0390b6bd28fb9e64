"""What is in a dataset: counts and distributions, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from mltool.datasets.columns import Columns
from mltool.datasets.dataset import Dataset
from mltool.datasets.schema import Schema
from mltool.datasets.source import SPLITS
from mltool.reports.dataset_page import ColumnSummary, DatasetReport

# Axes: N rows, C channels, H height, W width

_MAX_ROWS = 100_000
_NUM_BINS = 24
_NUM_TOP = 8
_PICTURES_A_CLASS = 4


def summary_of(dataset: Dataset) -> dict[str, Any]:
    """What `data show` prints."""
    schema, facts = dataset.schema, dataset.artifact.manifest.facts
    splits = {name: dataset.split(name) for name in SPLITS}
    return {
        "num_rows": {name: len(columns) for name, columns in splits.items()},
        "inputs": [{"name": s.name, "dtype": s.dtype, "shape": list(s.shape)} for s in schema.inputs],
        "columns": [
            {"name": c.name, "kind": c.kind, "missing": c.missing, "mean": c.mean, "num_distinct": c.num_distinct}
            for c in _columns(schema, splits["train"])
        ],
        "target": {"name": schema.target.name, "kind": schema.target.kind, "classes": list(schema.target.classes)},
        "class_counts": _class_counts(schema, splits),
        "notes": dataset.notes,
        "num_damaged": facts.get("num_damaged", 0),
        "damage": facts.get("damage", []),
    }


def report_of(dataset: Dataset) -> DatasetReport:
    """The plain data of the dataset's page."""
    schema, manifest = dataset.schema, dataset.artifact.manifest
    splits = {name: dataset.split(name) for name in SPLITS}
    hidden = ("notes", "damage", "num_damaged")
    return DatasetReport(
        title=dataset.artifact.label,
        digest=manifest.digest,
        created_utc=manifest.created_utc,
        num_rows={name: len(columns) for name, columns in splits.items()},
        columns=_columns(schema, splits["train"]),
        class_counts=_class_counts(schema, splits),
        samples=_pictures(schema, splits["train"]),
        notes=dataset.notes,
        damage=[{"where": where, "problem": why} for where, why in manifest.facts.get("damage", [])],
        num_damaged=manifest.facts.get("num_damaged", 0),
        provenance={name: value for name, value in manifest.facts.items() if name not in hidden},
        next_commands=[f"mltool train data.source={dataset.artifact.label}"],
    )


def _columns(schema: Schema, train: Columns) -> list[ColumnSummary]:
    """Each column of the training split, seen in at most 100,000 evenly spaced rows."""
    step = -(-len(train) // _MAX_ROWS) or 1
    summaries = []
    for index, column in enumerate(schema.columns_of("number")):
        values_N = np.asarray(train.inputs["numbers"][::step, index], dtype=np.float64)
        summaries.append(_number_summary(column.name, "", values_N))
    for index, column in enumerate(schema.columns_of("category")):
        codes_N = np.asarray(train.inputs["categories"][::step, index])
        counts = np.bincount(codes_N, minlength=len(column.vocabulary) + 1)
        order = np.argsort(-counts[1:], kind="stable")[:_NUM_TOP]
        summaries.append(
            ColumnSummary(
                name=column.name,
                kind="category",
                missing=float(counts[0] / max(1, len(codes_N))),
                num_distinct=len(column.vocabulary),
                top=[(column.vocabulary[i], int(counts[i + 1])) for i in order],
                num_values=int(counts[1:].sum()),
            )
        )
    for column in schema.columns:
        if column.kind in ("image", "tensor"):
            spec = next(spec for spec in schema.inputs if spec.name == column.name)
            shape = ", ".join(str(size) for size in spec.shape)
            summaries.append(ColumnSummary(name=column.name, kind=f"{column.kind}, {spec.dtype} [{shape}]"))
    if schema.target.kind == "number":
        target_N = np.asarray(train.target[::step], dtype=np.float64)
        summaries.append(_number_summary(schema.target.name, "target", target_N))
    return summaries


def _number_summary(name: str, role: str, values_N: np.ndarray) -> ColumnSummary:
    present_N = values_N[~np.isnan(values_N)]
    if not len(present_N):
        return ColumnSummary(name=name, kind="number", role=role, missing=1.0)
    counts, edges = np.histogram(present_N, bins=_NUM_BINS)
    return ColumnSummary(
        name=name,
        kind="number",
        role=role,
        missing=1 - len(present_N) / len(values_N),
        num_distinct=len(np.unique(present_N)),
        minimum=float(present_N.min()),
        mean=float(present_N.mean()),
        maximum=float(present_N.max()),
        edges=edges.tolist(),
        counts=counts.tolist(),
    )


def _class_counts(schema: Schema, splits: dict[str, Columns]) -> dict[str, dict[str, int]]:
    if schema.target.kind != "class":
        return {}
    classes = schema.target.classes
    return {
        name: dict(zip(classes, np.bincount(columns.target, minlength=len(classes)).tolist(), strict=True))
        for name, columns in splits.items()
        if len(columns)
    }


def _pictures(schema: Schema, train: Columns) -> dict[str, list[np.ndarray]]:
    if schema.image is None or schema.target.kind != "class":
        return {}
    image_NCHW = train.inputs[schema.inputs[0].name]
    pictures = {}
    for code, name in enumerate(schema.target.classes):
        rows = np.flatnonzero(np.asarray(train.target) == code)[:_PICTURES_A_CLASS]
        chosen = [np.array(image_NCHW[row]) for row in rows]
        pictures[name] = [p[0] if p.shape[0] == 1 else np.moveaxis(p, 0, -1) for p in chosen]
    return pictures
