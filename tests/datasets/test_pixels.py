from __future__ import annotations

import contextlib
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mltool.core.errors import DataError
from mltool.datasets.readers import pixels

ORIENTATION = 0x0112


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def smooth_picture(height: int = 24, width: int = 36, mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(random).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def chw(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_lossless_picture_keeps_every_pixel(form: str) -> None:
    image = smooth_picture()
    assert (pixels.decode(saved(image, form), 3, 24, 36) == chw(image)).all()


def test_a_jpeg_gives_the_pixels_that_pillow_gives() -> None:
    data = saved(smooth_picture(), "JPEG", quality=90)
    assert (pixels.decode(data, 3, 24, 36) == chw(Image.open(io.BytesIO(data)))).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = saved(smooth_picture(), form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert pixels.header(data)[:2] == upright.size
    assert (pixels.decode(data, 3, upright.height, upright.width) == chw(upright)).all()


def test_broken_exif_data_does_not_make_a_picture_unreadable() -> None:
    data = saved(smooth_picture(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert pixels.decode(data, 3, 24, 36).shape == (3, 24, 36)
    assert pixels.header(data) == (36, 24, 3, "JPEG")


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    left, right = pixels.decode(saved(image, "PNG"), 3, 1, 2)[:, 0].T.tolist()
    assert (left, right) == ([200, 0, 0], [255, 255, 255])


def test_the_transparent_colour_of_a_palette_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    data = saved(image, "PNG", transparency=0)
    assert pixels.decode(data, 3, 1, 2)[:, 0].T.tolist() == [[255, 255, 255], [40, 50, 60]]


def test_a_palette_becomes_its_colours() -> None:
    image = smooth_picture().quantize(16)
    assert (pixels.decode(saved(image, "PNG"), 3, 24, 36) == chw(image)).all()


@pytest.mark.parametrize(("palette", "channels"), [([0, 0, 0, 9, 9, 9], 1), ([0, 0, 0, 9, 8, 9], 3)])
def test_a_palette_of_greys_counts_as_grey(palette: list[int], channels: int) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette(palette)
    assert pixels.header(saved(image, "PNG")).channels == channels


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_to_8_bits(form: str) -> None:
    values = np.array([[0, 200, 128 * 257, 65535]], dtype=np.uint16)
    data = saved(Image.fromarray(values), form)
    assert pixels.decode(data, 1, 1, 4).tolist() == [[[0, 1, 128, 255]]]
    assert pixels.header(data).channels == 1


def test_cmyk_becomes_rgb() -> None:
    data = saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=100)
    red, green, blue = pixels.decode(data, 3, 8, 8)[:, 4, 4].tolist()
    assert red < 10
    assert min(green, blue) > 245
    data = saved(smooth_picture(mode="CMYK"), "JPEG")
    assert (pixels.decode(data, 3, 24, 36) == chw(Image.open(io.BytesIO(data)))).all()


def test_pictures_of_unbounded_values_are_refused() -> None:
    for values in (np.array([[0.5]], dtype=np.float32), np.array([[70000]], dtype=np.int32)):
        with pytest.raises(pixels.PictureError, match="unknown range"):
            pixels.decode(saved(Image.fromarray(values), "TIFF"), 1, 1, 1)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_colour_becomes_grey_and_grey_becomes_three_equal_channels(form: str) -> None:
    colour, grey = saved(smooth_picture(), form), saved(smooth_picture(mode="L"), form)
    luma = np.asarray(Image.open(io.BytesIO(colour)).convert("L"))
    assert (pixels.decode(colour, 1, 24, 36)[0] == luma).all()
    decoded = pixels.decode(grey, 3, 24, 36)
    assert (decoded == np.asarray(Image.open(io.BytesIO(grey)))).all()


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    board = Image.fromarray((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8))
    small = pixels.decode(saved(board, "PNG"), 1, 8, 8)
    assert small.min() > 110
    assert small.max() < 145


def test_a_large_jpeg_is_shrunk_to_about_what_pillow_makes_of_it() -> None:
    data = saved(smooth_picture(400, 600), "JPEG", quality=95)
    ours = pixels.decode(data, 3, 40, 60).astype(int)
    theirs = chw(Image.open(io.BytesIO(data)).resize((60, 40), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(ours - theirs).mean() < 2


def test_a_turned_jpeg_is_not_shrunk_below_the_wanted_size_on_the_way() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    blocks = np.random.default_rng(0).integers(0, 255, (400, 50, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    data = saved(Image.fromarray(blocks), "JPEG", quality=95, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    theirs = chw(upright.resize((20, 80), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(pixels.decode(data, 3, 80, 20) - theirs).max() < 8


def test_a_jpeg_with_overwritten_pixels_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = bytearray(saved(Image.fromarray(noise), "JPEG"))
    middle = len(data) // 2
    data[middle : middle + 100] = bytes([255, 217]) + bytes(98)
    Image.open(io.BytesIO(data))
    with pytest.raises(pixels.PictureError):
        pixels.decode(bytes(data), 3, 64, 64)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_picture_that_was_cut_off_is_refused(form: str) -> None:
    # Noise: a smooth picture packs into so few bytes that half of them may hold all pixels.
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8))
    data = saved(image, form)
    with pytest.raises(pixels.PictureError):
        pixels.decode(data[: len(data) // 2], 3, 40, 40)


def test_a_jpeg_with_stray_bytes_between_its_markers_is_still_whole() -> None:
    data = saved(smooth_picture(), "JPEG")
    assert (pixels.decode(data[:-2] + b"\0\0\0" + data[-2:], 3, 24, 36) == pixels.decode(data, 3, 24, 36)).all()


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<html>", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_bytes_that_are_no_picture_are_refused(data: bytes) -> None:
    with pytest.raises(pixels.PictureError) as caught:
        pixels.decode(data, 3, 8, 8)
    assert isinstance(caught.value, DataError)
    assert "0x" not in str(caught.value)
    with pytest.raises(pixels.PictureError):
        pixels.header(data)


@pytest.mark.parametrize(("width", "height"), [(10000, 10000), (30000, 30000)])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_decompression_bomb_is_refused_by_its_header(form: str, width: int, height: int) -> None:
    data = bytearray(saved(smooth_picture(), form))
    if form == "PNG":
        data[16:24] = width.to_bytes(4) + height.to_bytes(4)
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
    else:
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = height.to_bytes(2) + width.to_bytes(2)
    for use in (lambda raw: pixels.decode(raw, 3, 8, 8), pixels.header):
        with pytest.raises(pixels.PictureError, match=f"more than {pixels.MAX_PIXELS} pixels"):
            use(bytes(data))


def test_a_header_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "picture.webp"
    smooth_picture().save(path)
    assert pixels.probe(path) == pixels.Header(36, 24, 3, "WEBP")


@pytest.mark.parametrize("channels", [1, 3])
def test_encoded_pixels_decode_to_themselves(channels: int) -> None:
    original = np.random.default_rng(1).integers(0, 256, (channels, 7, 5), dtype=np.uint8)
    assert (pixels.decode(pixels.encode(original), channels, 7, 5) == original).all()


SAMPLES = {form: saved(smooth_picture(), form) for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")} | {
    "deep PNG": saved(Image.fromarray(np.arange(60000, dtype=np.uint16).reshape(200, 300)), "PNG")
}


@given(data=st.data(), name=st.sampled_from(sorted(SAMPLES)))
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_give_pixels_or_a_reason_and_nothing_else(data: st.DataObject, name: str) -> None:
    raw = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, min(len(raw), 400) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(pixels.PictureError):
        assert pixels.decode(bytes(raw), 3, 8, 9).shape == (3, 8, 9)
    with contextlib.suppress(pixels.PictureError):
        assert pixels.header(bytes(raw)).channels in (1, 3)
