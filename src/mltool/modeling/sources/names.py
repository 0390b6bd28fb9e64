"""What datasets and models are called when nobody says."""

from __future__ import annotations

import re
from pathlib import Path

from mltool.artifacts.references import LATEST, check_name
from mltool.core.config.settings import find_project
from mltool.datasets.config import DataConfig
from mltool.datasets.dataset import Dataset
from mltool.datasets.readers import embedded


def default_name(config: DataConfig) -> str:
    """A name made from the source: `data/raw/corn.csv` is `corn`."""
    text = config.target.partition(":")[2] if config.target else Path(config.source).name.partition(".")[0]
    if not text:
        text = Path(config.source).resolve().name
    return _as_name(text)


def model_name(wanted: str | None, config: DataConfig, dataset: Dataset) -> str:
    """The name a model gets: the one asked for, else that of the embedded set, else the project's."""
    if wanted is not None:
        return check_name(wanted)
    if config.target is None and config.source in embedded.EMBEDDED:
        return dataset.artifact.name or config.source
    return project_name()


def project_name() -> str:
    return _as_name(find_project().name)


def _as_name(text: str) -> str:
    """`text` as a name that every store takes."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:100].strip("-._")
    return f"{name}-1" if name == LATEST else name or "model"
