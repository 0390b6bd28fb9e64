"""A picture in a record: bytes, base64 text or nested lists, to pixels."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.datasets.cells import shorten
from mltool.datasets.schema import ImageSpec

# Axes: C channels, H height, W width


def as_pixels(value: Any, image: ImageSpec) -> npt.NDArray[np.uint8]:
    """uint8 [C,H,W] of an encoded picture (bytes, base64 text, a data URL), or of pixels [H,W], [H,W,C] or [C,H,W].

    Encoded pictures are resized; pixels must have the size of `image`.

    Raises:
        ValueError: What is wrong, to follow the name of the picture.
    """
    if value is None:
        raise ValueError("is missing")
    if isinstance(value, str):
        value = _from_base64(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        from mltool.datasets.readers import pixels  # Pillow: only where pictures are encoded

        try:
            return pixels.decode(bytes(value), image.channels, image.height, image.width)
        except pixels.PictureError as error:
            raise ValueError(f"cannot be read: {error}") from error
    return _from_pixels(value, image)


def _from_base64(text: str) -> bytes:
    head, comma, body = text.partition(",")
    if text.startswith("data:") and comma:
        if not head.endswith(";base64"):
            raise ValueError(f"is a data URL of the form `{shorten(head)}`, but `;base64` is needed")
        text = body
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is the text `{shorten(text)}`, which is not base64") from None


def _from_pixels(value: Any, image: ImageSpec) -> npt.NDArray[np.uint8]:
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError("has rows of different lengths") from None
    if array.dtype.kind not in "iuf":
        raise ValueError(f"holds {array.dtype}, but pixels from 0 to 255 are needed")
    channels, height, width = image.channels, image.height, image.width
    if array.shape == (height, width) and channels == 1:
        array = array[np.newaxis]
    elif array.shape == (height, width, channels) and array.shape != (channels, height, width):
        array = array.transpose(2, 0, 1)
    elif array.shape != (channels, height, width):
        wanted = f"{[height, width, channels]} or {[channels, height, width]}"
        raise ValueError(f"has the shape {list(array.shape)}, but {wanted} is needed")
    outside = ~((array >= 0) & (array <= 255))
    if outside.any():
        raise ValueError(f"holds {array[outside].flat[0]}, but pixels from 0 to 255 are needed")
    pixels = array.astype(np.uint8)
    if (pixels != array).any():
        raise ValueError("holds fractions, but whole pixels from 0 to 255 are needed")
    return np.ascontiguousarray(pixels)
