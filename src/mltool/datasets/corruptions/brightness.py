"""Too much light: everything is brighter, and what was bright is lost."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    return image_NCHW + np.float32(amount)


corruption = ImageCorruption(change, (0.1, 0.2, 0.3, 0.4, 0.5), "brighter by {:.0%} of the range")
