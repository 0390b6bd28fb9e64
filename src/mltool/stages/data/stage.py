"""Decode a source once into a dataset artifact, and show what is in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_text
from mltool.datasets.dataset import Dataset, find_decoded, fingerprint_of, splits_of
from mltool.modeling.sources.names import default_name
from mltool.modeling.sources.open import open_dataset, read_source
from mltool.reports.dataset_page import dataset_page
from mltool.stages.data.config import DataJob
from mltool.stages.data.summary import report_of, summary_of


def add(job: DataJob, store: Store) -> Artifact:
    """Decode the source of the `data` section, or find the dataset that was made of it."""
    return open_dataset(job.data, store, job.name).artifact


def plan_of(job: DataJob, store: Store) -> dict[str, Any]:
    """What `add` would do, as plain data; nothing is written."""
    config = job.data
    source, facts = read_source(config)
    known = find_decoded(store, fingerprint_of(source, config))
    splits, carved = splits_of(source, config)
    source.damage.num_seen = max(source.damage.num_seen, source.num_rows)
    source.damage.enforce(config.max_damaged)
    return {
        "name": job.name or default_name(config),
        "already_decoded": known.label if known else None,
        "num_rows": {name: len(rows) for name, rows in splits.items()},
        "disk_bytes": 0 if known else source.estimated_bytes(),
        "num_damaged": len(source.damage.found),
        "notes": [*source.notes, *carved],
        "facts": facts,
    }


def show(artifact: Artifact) -> dict[str, Any]:
    """Rows, columns, classes, notes and damage of a dataset, as plain data."""
    return summary_of(Dataset(artifact))


def write_page(artifact: Artifact, store: Store) -> Path:
    """Write the HTML page of a dataset beside the store's runs, and return where it is."""
    path = store.runs / "pages" / f"{artifact.digest}.html"
    with explained_disk_errors(store.root):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, dataset_page(report_of(Dataset(artifact))))
    return path
