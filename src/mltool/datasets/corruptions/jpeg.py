"""Pictures that were compressed too much on their way."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from mltool.datasets.corruptions._image import ImageCorruption, Pixels, Scene


def change(image_NCHW: Pixels, amount: float, scene: Scene) -> Pixels:
    bytes_NCHW = np.rint(np.clip(image_NCHW, 0, 1) * 255).astype(np.uint8)
    result = np.empty_like(image_NCHW)
    for index, picture_CHW in enumerate(bytes_NCHW):
        if len(picture_CHW) == 3:
            result[index] = np.moveaxis(_compressed(np.moveaxis(picture_CHW, 0, -1), int(amount)), -1, 0)
        else:  # JPEG knows grey and colour; other channels are each a grey picture
            result[index] = [_compressed(channel_HW, int(amount)) for channel_HW in picture_CHW]
    return result / np.float32(255)


def _compressed(picture: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image)


corruption = ImageCorruption(change, (25, 18, 15, 10, 7), "JPEG quality {:g}")
