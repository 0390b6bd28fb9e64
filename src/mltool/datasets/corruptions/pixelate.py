"""A camera with too few pixels, or a preview that was enlarged."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    coarse = image_NCHW
    for axis in (2, 3):
        coarse = _coarse(coarse, amount, axis)
    return coarse


def _coarse(image_NCHW: Pixels, share: float, axis: int) -> Pixels:
    """As many blocks along an axis as a share of its pixels; each has the mean of its pixels."""
    size = image_NCHW.shape[axis]
    num_blocks = max(1, round(size * share))
    starts = np.arange(num_blocks) * size // num_blocks
    lengths = np.diff(starts, append=size)
    shape = [1] * 4
    shape[axis] = num_blocks
    means = np.add.reduceat(image_NCHW, starts, axis=axis) / lengths.astype(np.float32).reshape(shape)
    return np.repeat(means, lengths, axis=axis)


corruption = ImageCorruption(change, (0.75, 0.6, 0.5, 0.4, 0.25), "{:.0%} of the pixels of each side")
