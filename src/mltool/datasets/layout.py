"""What the arrays of a model are made of: pictures, columns of numbers or categories, and other tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mltool.datasets.schema import Schema, TensorSpec

# Axes: N samples, C channels, H height, W width, F number columns, K category columns

MAX_TENSOR_COLUMNS = 256
"""A prepared tensor [N,F] with more features is taken as a whole: nobody looks at so many one by one."""
PartKind = Literal["image", "number", "category", "tensor"]


@dataclass(frozen=True, slots=True)
class Part:
    """One column of an input, or the whole of it.

    Attributes:
        name: What people call it: the column's own name, `x[3]` for a feature of a prepared tensor.
        index: The column on axis 1 of the input; None if it is the whole input.
        may_be_missing: Whether the model knows what to do with a gap: NaN in a number, 0 in a category.
    """

    name: str
    kind: PartKind
    input: str
    index: int | None = None
    may_be_missing: bool = False


def parts_of(schema: Schema, inputs: Sequence[TensorSpec]) -> tuple[Part, ...]:
    """The parts of all inputs, in their order; an input of whole numbers that are no categories has none.

    Args:
        inputs: As the signature of the model has them.
    """
    return tuple(part for spec in inputs for part in _parts_of_input(schema, spec))


def _parts_of_input(schema: Schema, spec: TensorSpec) -> list[Part]:
    numbers, categories = schema.columns_of("number"), schema.columns_of("category")
    is_float = spec.dtype.startswith("float")
    if spec.name == "numbers" and numbers:
        return [Part(c.name, "number", spec.name, i, may_be_missing=True) for i, c in enumerate(numbers)]
    if spec.name == "categories" and categories:
        return [Part(c.name, "category", spec.name, i, may_be_missing=True) for i, c in enumerate(categories)]
    if len(spec.shape) == 3 and (is_float or spec.dtype == "uint8"):
        return [Part(spec.name, "image", spec.name)]
    if is_float and len(spec.shape) == 1 and 0 < spec.shape[0] <= MAX_TENSOR_COLUMNS:
        return [Part(f"{spec.name}[{i}]", "number", spec.name, i) for i in range(spec.shape[0])]
    return [Part(spec.name, "tensor", spec.name)] if is_float else []
