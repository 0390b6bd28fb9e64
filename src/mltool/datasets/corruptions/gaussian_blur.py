"""A lens that is out of focus or dirty.

The deviation in pixels is the strength times the root of the side: larger pictures have more pixels to lose.
"""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene, convolved


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    sigma = amount * min(image_NCHW.shape[2:]) ** 0.5
    reach = max(1, round(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = weights / weights.sum()
    return convolved(convolved(image_NCHW, kernel, 2), kernel, 3)


corruption = ImageCorruption(change, (0.1, 0.15, 0.2, 0.3, 0.4), "of strength {:g}")
