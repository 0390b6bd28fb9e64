"""A camera that moves sideways while it looks."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene, convolved


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    length = max(1.0, amount * image_NCHW.shape[3])
    reach = int(np.ceil((length - 1) / 2))
    # How much of a line of this length lies over each pixel.
    kernel = np.clip(length / 2 + 0.5 - np.abs(np.arange(-reach, reach + 1)), 0, 1)
    return convolved(image_NCHW, kernel / kernel.sum(), 3)


corruption = ImageCorruption(change, (0.15, 0.2, 0.3, 0.4, 0.5), "over {:.0%} of the width")
