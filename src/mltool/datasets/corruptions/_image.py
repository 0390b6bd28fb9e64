"""What the corruptions of pictures share: each sees pixels in [0, 1], whatever the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mltool.datasets.layout import Part

# Axes: N samples, C channels, H height, W width

Pixels = npt.NDArray[np.float32]
_CHUNK_VALUES = 1 << 22
"""Pixels that are worked on at a time (16 MiB), so that memory does not grow with the number of pictures."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What else a corruption may need.

    Attributes:
        deviation: Of the pixels of the reference, on the scale from 0 to 1.
    """

    random: np.random.Generator
    deviation: float


class Change(Protocol):
    def __call__(self, image_NCHW: Pixels, amount: float, scene: Scene, /) -> Pixels:
        """Pictures as they come, in [0, 1], to pictures as they would be; what leaves [0, 1] is cut off afterwards."""


@dataclass(frozen=True, slots=True)
class ImageCorruption:
    """A corruption of every picture that the model takes."""

    change: Change
    amounts: tuple[float, float, float, float, float]
    says: str
    is_for_one: bool = False

    def fitting(self, parts: Sequence[Part]) -> list[Part]:
        return [part for part in parts if part.kind == "image"]

    def corrupted(
        self,
        inputs: Mapping[str, npt.NDArray[Any]],
        parts: Sequence[Part],
        reference: Mapping[str, npt.NDArray[Any]],
        amount: float,
        random: np.random.Generator,
    ) -> dict[str, npt.NDArray[Any]]:
        changed = dict(inputs)
        for part in parts:
            changed[part.input] = self._changed(inputs[part.input], reference[part.input], amount, random)
        return changed

    def _changed(
        self, image_NCHW: npt.NDArray[Any], usual_NCHW: npt.NDArray[Any], amount: float, random: np.random.Generator
    ) -> npt.NDArray[Any]:
        low, high = _range_of(image_NCHW, usual_NCHW)
        span = np.where(high > low, high - low, np.float32(1))
        scene = Scene(random, float(_scaled(usual_NCHW, low, span).std()) if usual_NCHW.size else 0.25)
        result = np.empty_like(image_NCHW)
        step = max(1, _CHUNK_VALUES // max(1, image_NCHW[:1].size))
        for start in range(0, len(image_NCHW), step):
            rows = slice(start, start + step)
            pixels = np.clip(self.change(_scaled(image_NCHW[rows], low, span), amount, scene), 0, 1) * span + low
            result[rows] = np.rint(pixels) if image_NCHW.dtype.kind in "iu" else np.clip(pixels, low, high)
        return result


def _range_of(image_NCHW: npt.NDArray[Any], usual_NCHW: npt.NDArray[Any]) -> tuple[Pixels, Pixels]:
    """The lowest and the highest value of each channel, [1,C,1,1]: pixels stay in this range."""
    shape = (1, image_NCHW.shape[1], 1, 1)
    if image_NCHW.dtype == np.uint8:
        return np.zeros(shape, np.float32), np.full(shape, 255, np.float32)
    both = [array for array in (image_NCHW, usual_NCHW) if array.size]
    extremes = [np.stack([reduce(array, axis=(0, 2, 3)) for array in both]) for reduce in (np.min, np.max) if both] or [
        np.zeros((1, shape[1])),
        np.ones((1, shape[1])),
    ]
    low, high = extremes[0].min(0), extremes[1].max(0)
    return low.astype(np.float32).reshape(shape), high.astype(np.float32).reshape(shape)


def _scaled(image_NCHW: npt.NDArray[Any], low: Pixels, span: npt.NDArray[np.float32]) -> Pixels:
    return (image_NCHW.astype(np.float32) - low) / span


def convolved(image_NCHW: Pixels, kernel: npt.NDArray[np.floating[Any]], axis: int) -> Pixels:
    """Pictures smeared along one axis by an odd kernel; beyond an edge, its pixels go on."""
    reach = len(kernel) // 2
    pads = [(0, 0)] * 4
    pads[axis] = (reach, reach)
    padded = np.pad(image_NCHW, pads, mode="edge")
    size = image_NCHW.shape[axis]
    result = np.zeros_like(image_NCHW)
    for offset, weight in enumerate(kernel):
        window = [slice(None)] * 4
        window[axis] = slice(offset, offset + size)
        result += np.float32(weight) * padded[tuple(window)]
    return result
