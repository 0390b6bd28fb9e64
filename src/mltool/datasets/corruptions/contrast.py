"""Fog, or a display in the sun: each picture is drawn towards its own mean."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    mean_N111 = image_NCHW.mean(axis=(1, 2, 3), keepdims=True)
    faded: Pixels = mean_N111 + np.float32(amount) * (image_NCHW - mean_N111)
    return faded


corruption = ImageCorruption(change, (0.75, 0.5, 0.3, 0.2, 0.1), "{:.0%} of the contrast")
