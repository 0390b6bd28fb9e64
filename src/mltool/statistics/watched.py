"""Which numbers of a model's inputs and outputs are watched, and under which names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mltool.statistics.images import image_summaries
from mltool.statistics.reference import Reference

# Axes: N rows, J columns, P places of an array

MAX_PLACES = 256
"""Values of a tensor that are watched; of a larger one, so many evenly spaced."""
MAX_PIXELS = 128
"""The same of a picture."""

Arrays = Mapping[str, NDArray[Any]]
Kind = Literal["number", "category", "pixel", "summary", "output", "class"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Columns that come from one array.

    Attributes:
        array: The name of the input or output.
        shape: Of one row of it.
        places: Positions within one row, flattened; None for what is computed from the whole row.
    """

    kind: Kind
    array: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    places: NDArray[np.int64] | None

    @property
    def is_output(self) -> bool:
        return self.kind in ("output", "class")

    def take(self, array: NDArray[Any]) -> NDArray[Any]:
        """The columns [J, N] of some rows: codes of categories and classes, else floats with NaN for missing.

        Raises:
            ValueError: The rows have another shape.
        """
        if array.shape[1:] != self.shape:
            raise ValueError(f"`{self.array}` has rows of shape {list(array.shape[1:])}, not {list(self.shape)}")
        if self.kind == "summary":
            summaries = image_summaries(array)
            return np.stack([summaries[name.rpartition(".")[2]] for name in self.names])
        flat: NDArray[Any] = array.reshape(len(array), -1)
        if self.kind == "class":
            codes_N: NDArray[np.int64] = flat.argmax(axis=1)
            return codes_N[np.newaxis]
        if self.places is None:  # the confidence
            highest_N: NDArray[Any] = flat.max(axis=1)
            return highest_N[np.newaxis]
        chosen_NP = flat if len(self.places) == flat.shape[1] else flat[:, self.places]
        if self.kind == "category":
            return np.ascontiguousarray(chosen_NP.T)
        dtype = np.float64 if array.dtype.itemsize == 8 else np.float32
        return np.ascontiguousarray(chosen_NP.T, dtype)

    def missing(self, array: NDArray[Any]) -> NDArray[np.float64]:
        """The share of missing values of each column with a place of its own [J]."""
        if self.places is None or array.dtype.kind != "f":
            return np.zeros(len(self.names))
        share: NDArray[np.float64] = np.isnan(array.reshape(len(array), -1)).mean(axis=0)[self.places]
        return share


def parts_of(reference: Reference, classes: Sequence[str] = ()) -> list[Part]:
    """The columns of the inputs, then of the outputs.

    Args:
        classes: Names of the classes, for the columns of their probabilities.
    """
    return [*_input_parts(reference), *_output_parts(reference.outputs, classes)]


def _input_parts(reference: Reference) -> Iterator[Part]:
    tensors = {
        sketched
        for name, array in reference.rows.items()
        for sketched in reference.numbers
        if sketched.startswith(f"{name}." if array.ndim == 4 else f"{name}[")
    }
    fields = {
        "numbers": ("number", [name for name in reference.numbers if name not in tensors]),
        "categories": ("category", list(reference.categories)),
    }
    for name, array in reference.rows.items():
        shape = array.shape[1:]
        kind, names = fields.get(name, ("number", []))
        if array.ndim == 2 and names and len(names) == array.shape[1]:
            yield Part("category" if kind == "category" else "number", name, shape, tuple(names), np.arange(len(names)))
        elif array.ndim == 4:
            yield Part("pixel", name, shape, *_places(name, shape, MAX_PIXELS))
            summaries = [key for key in reference.numbers if key.startswith(f"{name}.")]
            if summaries:
                yield Part("summary", name, shape, tuple(summaries), None)
        else:
            yield Part("number", name, shape, *_places(name, shape, MAX_PLACES))


def _output_parts(outputs: Arrays, classes: Sequence[str]) -> Iterator[Part]:
    scores = next((name for name in ("probabilities", "logits") if outputs.get(name, np.zeros(0)).ndim == 2), None)
    for name, array in outputs.items():
        if name == "logits" and scores == "probabilities":
            continue  # the same, told twice
        shape = array.shape[1:]
        names, places = _places(name, shape, MAX_PLACES)
        if name == "probabilities" and array.ndim == 2 and len(classes) == array.shape[1]:
            names = tuple(f"{name}[{classes[place]}]" for place in places)
        if name == "probabilities" and array.shape[1:] == (2,):
            names, places = names[1:], places[1:]  # the other one is what is left of 1
        yield Part("output", name, shape, names, places)
    if scores is not None and outputs[scores].shape[1] > 1:
        shape = outputs[scores].shape[1:]
        if scores == "probabilities" and outputs[scores].shape[1] > 2:
            yield Part("output", scores, shape, ("confidence",), None)
        yield Part("class", scores, shape, ("predicted class",), None)


def _places(name: str, shape: tuple[int, ...], at_most: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    size = math.prod(shape)
    places = np.unique(np.linspace(0, size - 1, min(size, at_most)).round().astype(np.int64))
    if size == 1:
        return (name,), places
    steps = [step for step, length in enumerate(shape) if length > 1]
    indices = np.stack(np.unravel_index(places, shape))[steps]
    return tuple(f"{name}[{', '.join(map(str, index))}]" for index in indices.T.tolist()), places
