"""The grain of few photons: the brighter a pixel, the more it varies."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    return scene.random.poisson(np.clip(image_NCHW, 0, 1) * amount).astype(np.float32) / np.float32(amount)


corruption = ImageCorruption(change, (60, 25, 12, 5, 3), "{:g} photons where a pixel is brightest")
