"""What datasets and models are called when nobody says."""

from __future__ import annotations

import re
from pathlib import Path

from mltool.artifacts.references import check_name
from mltool.core.config.settings import find_project
from mltool.core.errors import ConfigError
from mltool.datasets.config import DataConfig
from mltool.datasets.dataset import Dataset
from mltool.datasets.readers import embedded


def default_name(config: DataConfig) -> str:
    """A name made from the source: `data/raw/corn.csv` is `corn`."""
    text = config.target.partition(":")[2] if config.target else Path(config.source).name.partition(".")[0]
    if not text:
        text = Path(config.source).resolve().name
    name = _as_name(text)
    return f"{name}-data" if name in embedded.EMBEDDED and not _is_embedded(config) else name


def check_dataset_name(name: str, config: DataConfig) -> str:
    """Return `name` if the dataset of `config` can have it.

    Raises:
        ConfigError: It is no name, or that of an embedded set, which would be read in its place.
    """
    if name in embedded.EMBEDDED and not _is_embedded(config):
        raise ConfigError(f"`{name}` is the name of an embedded set", hint=f"choose another, such as `{name}-data`")
    return check_name(name)


def _is_embedded(config: DataConfig) -> bool:
    return config.target is None and config.source in embedded.EMBEDDED and not Path(config.source).exists()


def model_name(wanted: str | None, config: DataConfig, dataset: Dataset) -> str:
    """The name a model gets: the one asked for, else that of the embedded set, else the project's."""
    if wanted is not None:
        return check_name(wanted)
    if _is_embedded(config):
        return dataset.artifact.name or config.source
    return project_name()


def project_name() -> str:
    return _as_name(find_project().name)


def _as_name(text: str) -> str:
    """`text` as a name that every store takes."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:100].strip("-._")
    try:
        return check_name(name or "model")
    except ConfigError:  # it means something else: the newest, or a device
        return f"{name}-1"
