"""The two small datasets that come with mltool."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mltool.core.errors import DataError
from mltool.datasets.config import DataConfig
from mltool.datasets.readers import arrays, table
from mltool.datasets.source import Source

EMBEDDED: tuple[str, ...] = ("digits", "penguins")

_FOLDER = Path(__file__).parent.parent / "embedded"


def read(config: DataConfig, name: str) -> Source:
    """Read the embedded set `name`; licences are in `mltool/datasets/embedded/LICENSES.md`.

    `digits` are 1,797 grey pictures of 8x8 pixels, `penguins` 344 rows of numbers and categories, some missing, with
    the species as the label.

    Raises:
        DataError: There is no such set.
    """
    if name == "digits":
        source = arrays.read(config, _FOLDER / "digits.npz")
        source.notes.insert(0, "digits: 1,797 handwritten digits (UCI, CC BY 4.0), their values 0..16 times 15")
        return source
    if name == "penguins":
        config = dataclasses.replace(config, label=config.label or "species")
        penguins = table.read(config, _FOLDER / "penguins.csv")
        penguins.notes.insert(0, "penguins: 344 penguins of the Palmer Archipelago (CC0)")
        return penguins
    raise DataError(f"`{name}` is not an embedded set", hint=f"there are {' and '.join(EMBEDDED)}")
