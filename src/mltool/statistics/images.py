"""A few numbers that say how a picture looks, so that pictures can be watched for drift like any column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Axes: N samples, C channels, H height, W width

CHANNEL_NAMES = ("red", "green", "blue")
CHUNK_VALUES = 1 << 21
"""Values converted to float32 at a time (8 MiB), so that a memory-mapped column never has to fit in memory."""


def image_summaries(image_NCHW: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """`brightness`, `contrast`, `sharpness`, and with three channels also `red`, `green` and `blue`; each is [N].

    Brightness and the colours are means; contrast is the standard deviation and sharpness the mean absolute
    Laplacian (divided by 4, its largest value) of the grey picture, the mean of the channels. uint8 is scaled to
    `[0, 1]`, and so are then all summaries; floats are taken as they are. A picture with NaN has NaN summaries.

    Raises:
        ValueError: The array is not [N, C, H, W] of uint8 or floats, or its pictures are empty.
    """
    if image_NCHW.ndim != 4 or (image_NCHW.dtype != np.uint8 and image_NCHW.dtype.kind != "f"):
        raise ValueError(f"pictures must be uint8 or float [N, C, H, W], got `{image_NCHW.dtype}` {image_NCHW.shape}")
    num_images, num_channels, height, width = image_NCHW.shape
    pixels_per_image = num_channels * height * width
    if pixels_per_image == 0:
        raise ValueError(f"pictures of shape {image_NCHW.shape[1:]} hold no pixels")
    names = ["brightness", "contrast", "sharpness"]
    if num_channels == len(CHANNEL_NAMES):
        names += CHANNEL_NAMES
    summaries = {name: np.empty(num_images, np.float32) for name in names}
    step = max(1, CHUNK_VALUES // pixels_per_image)
    for start in range(0, num_images, step):
        part = slice(start, start + step)
        for name, values in _summaries_of_chunk(image_NCHW[part]).items():
            summaries[name][part] = values
    return summaries


def _summaries_of_chunk(image_NCHW: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    scaled = image_NCHW.astype(np.float32)
    if image_NCHW.dtype == np.uint8:
        scaled /= np.float32(255)
    grey = scaled.mean(axis=1)
    # Damaged float pictures (inf, NaN) become NaN here, which the sketch counts as missing.
    with np.errstate(invalid="ignore", over="ignore"):
        summaries = {
            "brightness": grey.mean(axis=(1, 2)),
            "contrast": grey.std(axis=(1, 2)),
            "sharpness": np.abs(_laplacian(grey)).mean(axis=(1, 2)) / np.float32(4),
        }
        if scaled.shape[1] == len(CHANNEL_NAMES):
            means_NC = scaled.mean(axis=(2, 3))
            summaries |= {name: means_NC[:, index] for index, name in enumerate(CHANNEL_NAMES)}
    return summaries


def _laplacian(grey_NHW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of the differences to the four neighbours; those outside the picture count as equal."""
    result = np.zeros_like(grey_NHW)
    down, right = np.diff(grey_NHW, axis=1), np.diff(grey_NHW, axis=2)
    result[:, :-1] += down
    result[:, 1:] -= down
    result[:, :, :-1] += right
    result[:, :, 1:] -= right
    return result
