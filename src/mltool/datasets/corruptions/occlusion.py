"""Something before the lens: a square of the picture's own mean, anywhere in it."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    n, _, height, width = image_NCHW.shape
    sides = [max(1, round(size * amount**0.5)) for size in (height, width)]
    inside = []
    for size, side in zip((height, width), sides, strict=True):
        start_N1 = np.floor(scene.random.random((n, 1)) * (size - side + 1))
        place = np.arange(size)
        inside.append((place >= start_N1) & (place < start_N1 + side))
    covered_N1HW = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
    return np.where(covered_N1HW, image_NCHW.mean(axis=(2, 3), keepdims=True), image_NCHW)


corruption = ImageCorruption(change, (0.05, 0.1, 0.2, 0.3, 0.4), "{:.0%} of the picture hidden")
