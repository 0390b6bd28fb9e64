"""Pixels that are stuck: some white, some black."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    n, _, height, width = image_NCHW.shape
    lot_N1HW = scene.random.random((n, 1, height, width), dtype=np.float32)
    dark = np.where(lot_N1HW < amount / 2, np.float32(0), image_NCHW)
    return np.where(lot_N1HW > 1 - amount / 2, np.float32(1), dark)


corruption = ImageCorruption(change, (0.01, 0.03, 0.06, 0.12, 0.25), "{:.0%} of the pixels stuck")
