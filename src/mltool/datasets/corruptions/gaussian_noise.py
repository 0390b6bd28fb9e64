"""The grain of a sensor in the dark, in deviations of the usual pixels."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    noise = scene.random.standard_normal(image_NCHW.shape, dtype=np.float32)
    return image_NCHW + np.float32(amount * scene.deviation) * noise


corruption = ImageCorruption(change, (0.15, 0.3, 0.5, 0.8, 1.2), "noise of {:g} sd of the pixels")
