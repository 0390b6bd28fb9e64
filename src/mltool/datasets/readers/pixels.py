"""Picture bytes to pixels and back: the one way for training, predicting and serving."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from mltool.core.errors import DataError

# Axes: C channels, H height, W width

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are opened; Pillow knows more, and some of those start other programs (EPS)."""

EXTENSIONS = frozenset(
    f".{ending}"
    for ending in ("bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp")
)
MAX_PIXELS = 89_478_485
"""Width times height above which a picture is refused as a decompression bomb: Pillow's limit, 256 MiB of RGB."""

_JPEG_START = b"\xff\xd8\xff"
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_GREY_MODES = ("1", "L", "LA", "La", "F", *_DEEP_MODES)
# What Pillow's parsers raise on bytes made to break them; a warning is one when the user turned warnings into errors.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
)
# libjpeg's words for lost pixels; its other warnings (stray bytes, an odd header) leave the picture whole.
_LOST_PIXELS = ("Premature end", "premature end", "bad Huffman", "bad arithmetic", "instead of RST", "Bogus")
_PNG_START = b"\x89PNG"
_PNG_ORIENTATION_MARKS = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")
_XMP_ORIENTATION = re.compile(rb"""tiff:Orientation(?:>|=["'])([1-8])""")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Pixels = npt.NDArray[np.uint8]


class PictureError(DataError, ValueError):
    """Bytes are not a whole picture; the message is the reason, to follow the name of the file."""


class Header(NamedTuple):
    """What a picture says of itself; `width` and `height` are those after its EXIF orientation was applied."""

    width: int
    height: int
    channels: int
    format: str


def decode(data: bytes, channels: int, height: int, width: int) -> Pixels:
    """Turn the bytes of a picture into uint8 [C,H,W].

    The EXIF orientation is applied, transparency is laid on white, 16-bit grey is scaled to 0..255, other colour
    spaces become RGB, and grey is ITU-R 601 luma. A picture of another size is resized with an antialiased bilinear
    filter that does not keep its proportions. Of several frames the first is taken.

    Args:
        data: A file in one of `FORMATS`, possibly hostile.
        channels: 1 (grey) or 3 (RGB).
        height: In pixels.
        width: In pixels.

    Raises:
        PictureError: The bytes are no picture, are cut off or damaged, or are larger than `MAX_PIXELS`.
    """
    with _reasons():
        pixels_HWC = _decode_jpeg(data, height, width) if data.startswith(_JPEG_START) else None
        if pixels_HWC is None:
            pixels_HWC = _to_array(_decode_any(data))
        if pixels_HWC.shape != (height, width, channels):
            image = _to_image(pixels_HWC).convert("L" if channels == 1 else "RGB")
            pixels_HWC = _to_array(image.resize((width, height), Image.Resampling.BILINEAR))
        return np.ascontiguousarray(pixels_HWC.transpose(2, 0, 1))


def encode(pixels_CHW: Pixels) -> bytes:
    """Turn uint8 [1,H,W] or [3,H,W] into the bytes of a PNG file."""
    file = io.BytesIO()
    _to_image(pixels_CHW.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


def probe(path: Path) -> Header:
    """Read the header of a picture file; its pixels may still turn out to be damaged.

    Raises:
        PictureError: The file is no picture, or is larger than `MAX_PIXELS`.
        OSError: The file cannot be read.
    """
    return header(path.read_bytes())


def header(data: bytes) -> Header:
    """`probe` for bytes in memory."""
    with _reasons():
        if data.startswith(_JPEG_START):
            height, width, colourspace, _ = simplejpeg.decode_jpeg_header(data, strict=False)
            _check_size(width, height)
            if _jpeg_orientation(data) >= 5:
                height, width = width, height
            return Header(width, height, 1 if colourspace == "Gray" else 3, "JPEG")
        image = _open(data)
        # Of a turned TIFF file Pillow gives the size before or after turning, according to its version.
        size = (image.tag_v2[256], image.tag_v2[257]) if isinstance(image, TiffImageFile) else image.size
        width, height = size[::-1] if _orientation(data, image) >= 5 else size
        grey = image.mode in _GREY_MODES
        if image.mode == "P" and (palette := image.getpalette("RGB")):
            grey = palette[::3] == palette[1::3] == palette[2::3]
        return Header(width, height, 1 if grey else 3, image.format or "")


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever a parser raises into a `PictureError`."""
    try:
        yield
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        # Pillow's own words hold nothing but the address of a buffer.
        raise PictureError(f"not a picture in a known format ({', '.join(FORMATS)})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"more than {MAX_PIXELS} pixels") from error
    except _UNREADABLE as error:
        raise PictureError(str(error) or type(error).__name__) from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width}x{height} is more than {MAX_PIXELS} pixels")


def _open(data: bytes) -> Image.Image:
    if not data:
        raise PictureError("the file is empty")
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_size(*image.size)
    return image


def _orientation(data: bytes, image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; unreadable EXIF data does not make a picture unreadable."""
    if data.startswith(_JPEG_START):
        return _jpeg_orientation(data)
    # Asked for the EXIF data of a PNG, Pillow decodes the whole file; a search costs microseconds.
    if data.startswith(_PNG_START) and not any(mark in data for mark in _PNG_ORIENTATION_MARKS):
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _UNREADABLE:
        return 1
    return value if value in _TURNS else 1


def _jpeg_orientation(data: bytes) -> int:
    """The same from the bytes of a JPEG: opening it with Pillow costs more than decoding it, and warns of odd data."""
    start = data.find(b"Exif\0\0")
    tiff = data[start + 6 : start + 6 + 65536]
    if start >= 0 and tiff[:2] in (b"II", b"MM"):
        order = "<" if tiff[:2] == b"II" else ">"
        try:
            (offset,) = struct.unpack_from(f"{order}L", tiff, 4)
            (num_entries,) = struct.unpack_from(f"{order}H", tiff, offset)
            for entry in range(num_entries):
                tag, _, _, value = struct.unpack_from(f"{order}HHLH", tiff, offset + 2 + 12 * entry)
                if tag == ExifTags.Base.Orientation:
                    return value if value in _TURNS else 1
        except struct.error:
            pass
    found = _XMP_ORIENTATION.search(data) if b"tiff:Orientation" in data else None
    return int(found[1]) if found else 1


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _to_array(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _to_image(pixels_HWC: Pixels) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels_HWC[..., 0] if pixels_HWC.shape[2] == 1 else pixels_HWC))


def _decode_jpeg(data: bytes, height: int, width: int) -> Pixels | None:
    """Decode with simplejpeg, 2.4 times as fast as Pillow; None for what only Pillow reads rightly.

    Pictures of more than twice the wanted size are scaled down by libjpeg, in the frequency domain.
    """
    try:
        source_height, source_width, colourspace, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        if colourspace not in ("YCbCr", "RGB", "Gray"):
            return None
        _check_size(source_width, source_height)
        orientation = _jpeg_orientation(data)
        if orientation >= 5:
            height, width = width, height
        pixels_HWC: Pixels = simplejpeg.decode_jpeg(
            data,
            "GRAY" if colourspace == "Gray" else "RGB",
            min_height=2 * height,
            min_width=2 * width,
        )
    except PictureError:
        raise
    except ValueError as error:
        if any(words in str(error) for words in _LOST_PIXELS):
            raise
        return None
    return pixels_HWC if orientation == 1 else _to_array(_turn(_to_image(pixels_HWC), orientation))


def _decode_any(data: bytes) -> Image.Image:
    """Decode with Pillow into mode L or RGB."""
    image = _open(data)
    image.load()
    # Read after loading: Pillow turns some formats itself and then forgets the orientation.
    image = _turn(image, _orientation(data, image))
    if image.mode == "F":
        raise PictureError("its pixels are floating-point numbers of an unknown range")
    if image.mode in _DEEP_MODES:
        return _from_16_bits(image)
    grey = image.mode in _GREY_MODES
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if grey else "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise PictureError("its pixels are 32-bit numbers of an unknown range")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
