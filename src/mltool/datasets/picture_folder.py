"""A folder of pictures as the inputs of a model: every picture in it and in the folders below, by its path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mltool.core import events
from mltool.core.errors import DataError, InputError
from mltool.datasets.encoder import Encoder, RecordError
from mltool.datasets.reading import content_of
from mltool.datasets.schema import Schema

_CHUNK = 256
"""Pictures whose files are in memory at once."""


def read_folder(folder: Path, schema: Schema) -> dict[str, np.ndarray]:
    """The pictures of a folder, in the order of their paths; links to folders are not followed.

    Raises:
        DataError: The model takes no pictures, or the folder holds none.
        InputError: A picture cannot be read; names it.
    """
    columns = schema.columns_of("image")
    if len(columns) != 1 or len(schema.columns) != 1:
        raise DataError(f"`{folder}` is a folder, but a file is needed", hint="only a model of pictures reads folders")
    paths = _pictures(folder)
    if not paths:
        raise DataError(f"`{folder}` holds no pictures")
    parts = []
    with events.track("decode", len(paths), "pictures") as bar:
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            parts.append(_decoded(chunk, columns[0].name, Encoder(schema)))
            bar.advance(len(chunk))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _pictures(folder: Path) -> list[Path]:
    from mltool.datasets.readers.pixels import EXTENSIONS  # Pillow: only where there are pictures

    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in EXTENSIONS and not name.startswith(".")
    )


def _decoded(paths: Sequence[Path], field: str, encoder: Encoder) -> dict[str, np.ndarray]:
    try:
        return encoder.encode([{field: content_of(path)} for path in paths])
    except RecordError as error:
        raise InputError(f"`{paths[error.record]}`: {error.problem}", hint=error.hint) from error
