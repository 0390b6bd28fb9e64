"""What the columns of a dataset mean, and what the tensors of a model look like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mltool.artifacts.artifact import Artifact
from mltool.core.errors import ArtifactError

# Axes: N samples, C channels, H height, W width, F number columns, K category columns

SCHEMA = "schema.json"
ColumnKind = Literal["number", "category", "image", "tensor"]
TargetKind = Literal["class", "number", "tensor"]
UNKNOWN_CATEGORY = 0
"""The code of a value that the training split did not show; known values start at 1."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named array that crosses the graph; axis 0, the batch, is left out of `shape`."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a raw record."""

    name: str
    kind: ColumnKind
    vocabulary: tuple[str, ...] = ()
    """Known values of a category, in the order of their codes; the first has code 1."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    kind: TargetKind
    classes: tuple[str, ...] = ()
    """Names of the classes, in the order of their codes; empty unless `kind` is `class`."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How a picture becomes pixels: `channels` is 1 (grey) or 3 (RGB); sizes are in pixels."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Schema:
    """Raw fields, the arrays made from them, and the target.

    `inputs` are built from `columns`: `image` uint8 [C,H,W], `numbers` float32 [F] (NaN is missing), `categories`
    int64 [K] (0 is unknown). Prepared tensors have one column of kind `tensor` for each input, of the same name.
    """

    columns: tuple[Column, ...]
    inputs: tuple[TensorSpec, ...]
    target: Target
    image: ImageSpec | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the source worth keeping, such as the units of a column."""

    def columns_of(self, kind: ColumnKind) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind == kind)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        """The inverse of `to_json`.

        Raises:
            KeyError: A field is missing.
            TypeError: A field is unknown.
        """
        image = data["image"]
        target = data["target"]
        return cls(
            columns=tuple(Column(c["name"], c["kind"], tuple(c["vocabulary"])) for c in data["columns"]),
            inputs=tuple(TensorSpec(t["name"], t["dtype"], tuple(t["shape"])) for t in data["inputs"]),
            target=Target(target["name"], target["kind"], tuple(target["classes"])),
            image=ImageSpec(**image) if image else None,
            extra=dict(data["extra"]),
        )


def schema_of(artifact: Artifact) -> Schema:
    """The schema that a dataset or a model carries.

    Raises:
        ArtifactError: It is missing or damaged.
    """
    try:
        return Schema.from_json(json.loads((artifact.path / SCHEMA).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"`{artifact.label}` has no usable schema: {error!r}") from error
