from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_digits

from mltool.statistics import images
from mltool.statistics.images import image_summaries

SHAPES = st.tuples(*[st.integers(1, 5)] * 4)


@given(hnp.arrays(np.uint8, SHAPES))
def test_summaries_of_bytes_are_between_zero_and_one(image: np.ndarray) -> None:
    summaries = image_summaries(image)
    assert set(summaries) >= {"brightness", "contrast", "sharpness"}
    assert ("red" in summaries) == (image.shape[1] == 3)
    for values in summaries.values():
        assert values.shape == (len(image),)
        assert (values >= 0).all()
        assert (values <= 1 + 1e-6).all()


@given(hnp.arrays(np.uint8, SHAPES))
def test_bytes_and_their_fractions_have_equal_summaries(image: np.ndarray) -> None:
    of_bytes, of_floats = image_summaries(image), image_summaries(image.astype(np.float32) / 255)
    for name, values in of_bytes.items():
        np.testing.assert_allclose(values, of_floats[name], atol=1e-6)


def test_a_checkerboard_is_as_sharp_as_a_picture_can_be_and_a_flat_one_not_at_all() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[None, None]
    assert image_summaries(board)["sharpness"][0] == pytest.approx(1, abs=0.05)
    assert image_summaries(board)["contrast"][0] == pytest.approx(0.5)
    flat = image_summaries(np.full((1, 1, 8, 8), 51, np.uint8))
    assert flat["sharpness"][0] == 0
    assert flat["contrast"][0] == pytest.approx(0, abs=1e-7)
    assert flat["brightness"][0] == pytest.approx(0.2)


def test_the_laplacian_sees_both_axes_alike() -> None:
    image = np.random.default_rng(0).random((2, 1, 6, 9), np.float32)
    turned = np.swapaxes(image, 2, 3)
    np.testing.assert_allclose(image_summaries(image)["sharpness"], image_summaries(turned)["sharpness"], rtol=1e-5)
    line = np.zeros((1, 1, 5, 5), np.float32)
    line[0, 0, 2, 2] = 1
    assert image_summaries(line)["sharpness"][0] == pytest.approx((4 + 4 * 1) / 25 / 4)


def test_colours_are_the_means_of_their_channels() -> None:
    image = np.zeros((1, 3, 2, 2), np.uint8)
    image[0, 0], image[0, 2] = 255, 51
    summaries = image_summaries(image)
    assert [float(summaries[name][0]) for name in ("red", "green", "blue")] == pytest.approx([1, 0, 0.2])
    assert summaries["brightness"][0] == pytest.approx(0.4)


def test_blur_noise_and_darkness_of_real_pictures_are_seen() -> None:
    image = (load_digits().images[:200, None] / 16).astype(np.float32)
    plain = image_summaries(image)
    blurred = image_summaries((image + np.roll(image, 1, 2) + np.roll(image, 1, 3)) / 3)
    noise = np.random.default_rng(0).normal(0, 0.2, image.shape).astype(np.float32)
    assert blurred["sharpness"].mean() < 0.6 * plain["sharpness"].mean()
    assert image_summaries(image + noise)["sharpness"].mean() > 1.1 * plain["sharpness"].mean()
    assert image_summaries(image * 0.5)["brightness"].mean() == pytest.approx(plain["brightness"].mean() / 2)


def test_reading_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (11, 3, 4, 4), dtype=np.uint8)
    whole = image_summaries(image)
    monkeypatch.setattr(images, "CHUNK_VALUES", 3 * 16 * 2)
    for name, values in image_summaries(image).items():
        np.testing.assert_array_equal(values, whole[name])


@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_a_damaged_float_picture_spoils_only_its_own_summaries(damage: float) -> None:
    image = np.random.default_rng(0).random((3, 3, 4, 4), np.float32)
    image[1, 0, 2, 2] = damage
    for name, values in image_summaries(image).items():
        assert np.isfinite(values[[0, 2]]).all()
        assert np.isfinite(values[1]) == (name in {"green", "blue"})


def test_float16_pictures_are_not_summed_in_float16() -> None:
    image = np.full((1, 1, 300, 300), 0.5, np.float16)
    assert image_summaries(image)["brightness"][0] == pytest.approx(0.5)


def test_no_pictures_have_empty_summaries_and_other_arrays_are_refused() -> None:
    assert image_summaries(np.zeros((0, 1, 4, 4), np.uint8))["brightness"].shape == (0,)
    for array in (np.zeros((4, 4), np.uint8), np.zeros((1, 1, 4, 4), np.int64)):
        with pytest.raises(ValueError, match="pictures must be"):
            image_summaries(array)
    with pytest.raises(ValueError, match="no pixels"):
        image_summaries(np.zeros((2, 1, 0, 4), np.uint8))
