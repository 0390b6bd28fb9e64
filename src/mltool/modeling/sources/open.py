"""From the `data` section to an opened dataset: found in the store, or decoded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.settings import find_project
from mltool.core.errors import ArtifactError, ConfigError, DataError
from mltool.datasets.config import DataConfig
from mltool.datasets.dataset import Dataset, write_dataset
from mltool.datasets.provenance import provenance
from mltool.datasets.readers import embedded
from mltool.datasets.readers.table_files import TABLE_SUFFIXES
from mltool.datasets.source import Source
from mltool.modeling.config import ModelConfig
from mltool.modeling.sources.names import check_dataset_name, default_name

TORCH_SUFFIXES = (".pt", ".pth")
_NOT_SHAPING = ("source", "target", "max_damaged", "remote")
"""The knobs that a dataset of the store leaves free; the others were decided when it was made."""


def open_dataset(config: DataConfig, store: Store, name: str | None = None) -> Dataset:
    """The dataset that the `data` section names.

    Args:
        name: The name a new dataset gets; by default that of its source.

    Raises:
        ConfigError: A knob does not go with the source.
        DataError: The source does not exist, cannot be read, or too much of it is damaged.
    """
    known = _in_store(config, store)
    if known is not None:
        return known
    name = check_dataset_name(name, config) if name else default_name(config)
    source, facts = read_source(config)
    return write_dataset(source, config, store, name, facts)


def warn_of_embedded_data(model: ModelConfig, origins: Collection[str]) -> None:
    """Say that the user's own network gets the embedded digits, where nobody says which data it is for.

    Args:
        origins: The keys that somebody wrote.
    """
    if model.target is not None and not {"data.source", "data.target"} & set(origins):
        events.warning("no `data.source=` is given, so your network gets the embedded digits")


def _in_store(config: DataConfig, store: Store) -> Dataset | None:
    """The dataset of that name or reference, unless the source is an embedded set or stands on the disk."""
    if config.target or config.source in embedded.EMBEDDED or Path(config.source).exists():
        return None
    name = config.source.partition("@")[0]
    if "/" in name or (Path(name).suffix and not store.refs.versions(ArtifactKind.dataset, name)):
        return None
    try:
        dataset = Dataset(store.find(config.source, ArtifactKind.dataset))
    except ArtifactError as error:
        raise DataError(
            f"`data.source={config.source}` is no file, folder or dataset here: {error.message}",
            hint=error.hint
            if store.refs.versions(ArtifactKind.dataset, name)
            else f"give a path, one of the embedded sets ({', '.join(embedded.EMBEDDED)}), or the name of a dataset",
        ) from error
    _check_unshaped(config, dataset)
    return dataset


def _check_unshaped(config: DataConfig, dataset: Dataset) -> None:
    """Refuse knobs that would make another dataset than the one in the store; those it was made with are fine."""
    made_with = dataset.artifact.config
    for field in fields(DataConfig):
        value, default = getattr(config, field.name), getattr(DataConfig(), field.name)
        plain = list(value) if isinstance(value, tuple) else value
        if field.name not in _NOT_SHAPING and value != default and plain != made_with.get(field.name, default):
            raise ConfigError(
                f"`data.{field.name}={value}` cannot change the dataset `{config.source}`, which is made already",
                hint=f"give the original source of `{config.source}` as `data.source=`, or leave the knob out",
            )


def read_source(config: DataConfig) -> tuple[Source, dict[str, Any]]:
    """Understand a source without decoding it; also what version control knows of it.

    Torch loads only for sources that need it.

    Raises:
        ConfigError: A knob does not go with the source.
        DataError: The source does not exist, or cannot be read.
    """
    if config.target is not None:
        from mltool.modeling.sources import target

        return target.read(config), provenance(find_project())
    path = Path(config.source)
    if config.source in embedded.EMBEDDED:
        if not path.exists():
            return embedded.read(config, config.source), {"source": config.source}
        events.info(f"`{config.source}` is what stands in this folder, not the embedded set of that name")
    if not path.exists():
        raise DataError(
            f"`data.source={config.source}` does not exist in `{Path.cwd()}`",
            hint=f"give a path, or one of the embedded sets: {', '.join(embedded.EMBEDDED)}",
        )
    # The name alone: the folders before it may come from a `${oc.env:…}`, and are this machine's.
    return _read_path(config, path), {"source": path.resolve().name, **provenance(path)}


def _read_path(config: DataConfig, path: Path) -> Source:
    name = path.name.lower()
    if path.is_dir():
        from mltool.datasets.readers import images

        return images.read(config, path)
    if name.endswith(TABLE_SUFFIXES):
        from mltool.datasets.readers import table

        return table.read(config, path)
    if name.endswith(".npz"):
        from mltool.datasets.readers import arrays

        return arrays.read(config, path)
    if name.endswith(TORCH_SUFFIXES):
        from mltool.modeling.sources import tensors

        return tensors.read(config, path)
    raise DataError(
        f"`{path}` has a form that is not known",
        hint=f"give a folder of images, or a file that ends in {', '.join((*TABLE_SUFFIXES, '.npz', *TORCH_SUFFIXES))}",
    )
