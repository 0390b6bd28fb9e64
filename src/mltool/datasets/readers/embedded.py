"""The two small datasets that come with mltool."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mltool.core.errors import DataError
from mltool.datasets.config import DataConfig, check_knobs
from mltool.datasets.readers import arrays, table
from mltool.datasets.source import Source

EMBEDDED: tuple[str, ...] = ("digits", "penguins")

_FOLDER = Path(__file__).parent.parent / "embedded"


def read(config: DataConfig, name: str) -> Source:
    """Read the embedded set `name`; licences are in `mltool/datasets/embedded/LICENSES.md`.

    `digits` are 1,797 grey pictures of 8x8 pixels, `penguins` 344 rows of numbers and categories, some missing, with
    the species as the label.

    Raises:
        ConfigError: A knob does not go with the set.
        DataError: There is no such set.
    """
    if name not in EMBEDDED:
        raise DataError(f"`{name}` is not an embedded set", hint=f"there are {' and '.join(EMBEDDED)}")
    knobs = set(arrays.KNOBS if name == "digits" else table.KNOBS) - {"test"}
    check_knobs(config, knobs, f"the embedded set `{name}`")
    if name == "digits":
        source = arrays.read(config, _FOLDER / "digits.npz")
        source.notes.insert(0, "digits: 1,797 handwritten digits (UCI, CC BY 4.0), their values 0..16 times 15")
        return source
    config = dataclasses.replace(config, label=config.label or "species")
    penguins = table.read(config, _FOLDER / "penguins.csv")
    penguins.notes.insert(0, "penguins: 344 penguins of the Palmer Archipelago (CC0)")
    return penguins
