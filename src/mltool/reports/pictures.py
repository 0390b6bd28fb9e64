"""Pictures inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mltool.reports.markup import Html, escape, join

# Axes: H height, W width

MAX_SIDE = 112
"""Larger pictures are shrunk to this many pixels, and stored as JPEG where that is smaller than PNG."""


def image_grid(images: Sequence[NDArray[np.uint8]], captions: Sequence[str], *, small: bool = False) -> Html:
    """Pictures side by side, each with its caption below; small ones keep their square pixels.

    Args:
        images: [H,W] grey or [H,W,3] colour; others are named as not drawable.
        captions: One for each picture; lines after the first are muted.
        small: Smaller, with captions for screen readers only.
    """
    if len(images) != len(captions):
        raise ValueError(f"{len(images)} pictures do not fit {len(captions)} captions")
    if not images:
        return Html('<p class="empty">No pictures</p>')
    items = "".join(
        f"<li>{_picture(image, caption)}{Html() if small else _caption(caption)}</li>"
        for image, caption in zip(images, captions, strict=True)
    )
    return Html(f'<ul class="pictures{" tight" if small else ""}">{items}</ul>')


def data_url(image: NDArray[np.uint8]) -> str:
    """A picture [H,W] or [H,W,3], whole and without loss, as the text that a page or a JSON record can hold."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _caption(caption: str) -> Html:
    return join(
        Html(f'<span class="muted">{escape(line)}</span>' if index else f"<span>{escape(line)}</span>")
        for index, line in enumerate(caption.splitlines())
    )


def _picture(image_HWC: NDArray[Any], alt: str) -> Html:
    image = image_HWC[..., 0] if image_HWC.ndim == 3 and image_HWC.shape[2] == 1 else image_HWC
    drawable = image.dtype == np.uint8 and image.size and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
    if not drawable:
        return Html(f'<span class="undrawable">{escape(f"{image.dtype} {list(image.shape)}")}</span>')
    picture = Image.fromarray(np.ascontiguousarray(image))
    kind, data = "png", b""
    css = "pixels" if max(picture.size) <= 64 else "photo"
    if max(picture.size) > MAX_SIDE:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        kind, data = "jpeg", buffer.getvalue()
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    if not data or buffer.tell() <= len(data):
        kind, data = "png", buffer.getvalue()
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    size = f'width="{picture.width}" height="{picture.height}"'
    return Html(f'<img class="{css}" {size} alt="{escape(" ".join(alt.split()))}" src="{source}">')
