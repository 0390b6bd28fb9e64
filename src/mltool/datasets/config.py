"""The knobs of the `data` section."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from mltool.core.config.fields import setting
from mltool.core.errors import ConfigError

LABEL_KINDS = ("auto", "class", "number")
OF_EVERY_SOURCE = ("source", "classes", "validation_fraction", "test_fraction", "split_seed", "max_damaged", "remote")
"""The knobs that every source reads; each reader names its own as `KNOBS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    source: str = setting("digits", is_path=True)
    """An embedded set (`digits`, `penguins`), a CSV, Parquet or JSONL table, a folder of images (one folder a class),
    an `.npz` or `.pt` file of tensors, or the name of a dataset made with `mltool data add`."""

    target: str | None = None
    """Import path of a callable that returns one or two `torch.utils.data.Dataset`s; replaces `source`."""

    args: dict[str, Any] = setting(default_factory=dict)
    """Arguments of `data.target`."""

    test: str | None = setting(None, is_path=True)
    """A second source of the same form, used as the test split."""

    label: str | None = setting(None, known_as=("target_column", "label_column", "y"))
    """Column to predict; by default `label`, `target`, `class`, `y` or the last column."""

    label_kind: str = setting("auto", choices=LABEL_KINDS)
    """Whether the label is a `class` or a `number`; `auto` takes text and few whole numbers for classes."""

    classes: tuple[str, ...] = ()
    """Names for classes that the data only counts, in the order of their codes."""

    ignore: tuple[str, ...] = ()
    """Columns to leave out, such as identifiers."""

    categories: tuple[str, ...] = ()
    """Number columns to treat as categories, such as postal codes."""

    fields: dict[str, str] = setting(default_factory=dict)
    """What the arrays of a tensor file are, as `data.fields.train_inputs=NAME`; roles are `inputs`, `labels`, and both
    with the prefix `train_`, `validation_` or `test_`."""

    image_size: int | None = setting(None, minimum=1, maximum=4096, known_as=("img_size", "imgsz", "resize"))
    """Height and width in pixels that images are resized to; by default their own, or the commonest, size."""

    channels: int | None = setting(None, choices=(1, 3))
    """1 for grey, 3 for colour; by default colour if any image has colour."""

    validation_fraction: float = setting(0.15, minimum=0.0, maximum=0.9, known_as=("val_split", "validation_split"))
    """Share of the rows carved out for validation when the source has no such split, as a fraction of 1."""

    test_fraction: float = setting(0.2, minimum=0.0, maximum=0.9, known_as=("test_split", "test_size"))
    """Share of the rows carved out for the test when the source has no such split, as a fraction of 1."""

    split_seed: int = setting(0, minimum=0, maximum=2**63 - 1)
    """Seed of the carved splits."""

    max_damaged: float = setting(0.01, minimum=0.0, maximum=1.0, shapes=False)
    """Largest accepted share of damaged rows or files, as a fraction of 1; above it the command fails."""

    remote: str | None = setting(None, shapes=False)
    """Where `mltool data push` and `pull` keep datasets: a folder, or `gs://BUCKET/PATH`; by default the default remote
    of the project's own DVC."""


def check_knobs(config: DataConfig, knobs: Iterable[str], what: str) -> None:
    """Refuse a knob that would change nothing.

    Args:
        knobs: Those that the source reads, beside `OF_EVERY_SOURCE`.
        what: The kind of source, such as `a table`.

    Raises:
        ConfigError: Names the first knob that is set and not read.
    """
    read, untouched = {*OF_EVERY_SOURCE, *knobs}, DataConfig()
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in read and value != getattr(untouched, field.name):
            shown = ",".join(value) if isinstance(value, tuple) else value
            raise ConfigError(
                f"`data.{field.name}={shown}` does not go with {what}, which it would not change",
                hint=f"leave it out; for {what} there are {', '.join(f'`data.{name}`' for name in sorted(knobs))}",
            )
