"""The knobs of the `data` section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mltool.core.config.fields import setting

LABEL_KINDS = ("auto", "class", "number")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    source: str = "digits"
    """An embedded set (`digits`, `penguins`), a CSV, Parquet or JSONL table, a folder of images (one folder a class),
    an `.npz` or `.pt` file of tensors, or the name of a dataset made with `mltool data add`."""

    target: str | None = None
    """Import path of a callable that returns one or two `torch.utils.data.Dataset`s; replaces `source`."""

    args: dict[str, Any] = setting(default_factory=dict)
    """Arguments of `data.target`."""

    test: str | None = None
    """A second source of the same form, used as the test split."""

    label: str | None = None
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

    image_size: int | None = setting(None, minimum=1, maximum=4096)
    """Height and width in pixels that images are resized to; by default their own, or the commonest, size."""

    channels: int | None = setting(None, choices=(1, 3))
    """1 for grey, 3 for colour; by default colour if any image has colour."""

    validation_fraction: float = setting(0.15, minimum=0.0, maximum=0.9)
    """Share of the rows carved out for validation when the source has no such split, as a fraction of 1."""

    test_fraction: float = setting(0.2, minimum=0.0, maximum=0.9)
    """Share of the rows carved out for the test when the source has no such split, as a fraction of 1."""

    split_seed: int = setting(0, minimum=0, maximum=2**63 - 1)
    """Seed of the carved splits."""

    max_damaged: float = setting(0.01, minimum=0.0, maximum=1.0)
    """Largest accepted share of damaged rows or files, as a fraction of 1; above it the command fails."""
