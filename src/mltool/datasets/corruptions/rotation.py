"""A camera that hangs askew, to the left or to the right; what was outside is as the nearest edge."""

from __future__ import annotations

import numpy as np

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    is_left_N = scene.random.random(len(image_NCHW)) < 0.5
    result = np.empty_like(image_NCHW)
    for rows_N, degrees in ((is_left_N, amount), (~is_left_N, -amount)):
        result[rows_N] = rotated(image_NCHW[rows_N], degrees)
    return result


def rotated(image_NCHW: Pixels, degrees: float) -> Pixels:
    """Pictures turned about their middle, between pixels by the distance to the nearest four."""
    height, width = image_NCHW.shape[2:]
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    y_HW, x_HW = np.mgrid[:height, :width].astype(np.float64)
    y_HW, x_HW = y_HW - (height - 1) / 2, x_HW - (width - 1) / 2
    from_y = np.clip(cos * y_HW - sin * x_HW + (height - 1) / 2, 0, height - 1)
    from_x = np.clip(sin * y_HW + cos * x_HW + (width - 1) / 2, 0, width - 1)
    top, left = np.floor(from_y).astype(np.int64), np.floor(from_x).astype(np.int64)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (from_y - top).astype(np.float32), (from_x - left).astype(np.float32)
    above = image_NCHW[:, :, top, left] * (1 - across) + image_NCHW[:, :, top, right] * across
    below = image_NCHW[:, :, bottom, left] * (1 - across) + image_NCHW[:, :, bottom, right] * across
    turned: Pixels = above * (1 - down) + below * down
    return turned


corruption = ImageCorruption(change, (5, 10, 15, 20, 30), "by {:g} degrees")
