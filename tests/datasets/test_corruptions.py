"""What every corruption keeps, whatever it is; and what each of them does."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mltool.core.errors import ConfigError
from mltool.datasets.corrupting import SEVERITIES, Damage, damages_for
from mltool.datasets.families import corruptions
from mltool.datasets.layout import Part, parts_of
from mltool.datasets.schema import Column, Schema, Target, TensorSpec

Arrays = dict[str, npt.NDArray[np.generic]]

OF_IMAGES = (
    "brightness", "contrast", "gaussian_blur", "gaussian_noise", "impulse_noise", "jpeg", "motion_blur", "occlusion",
    "pixelate", "rotation", "shot_noise",
)  # fmt: skip
OF_TABLES = (
    "dead_column", "missing_values", "noisy_numbers", "scaled_column", "stale_values", "swapped_columns",
    "tilted_column", "unseen_categories",
)  # fmt: skip
TARGET = Target("y", "class", ("a", "b"))
TABLE = Schema(
    (*(Column(name, "number") for name in ("length", "width", "height")), Column("hue", "category", ("r", "g"))),
    (TensorSpec("numbers", "float32", (3,)), TensorSpec("categories", "int64", (1,))),
    TARGET,
)  # fmt: skip


def picture(shape: tuple[int, ...] = (1, 8, 8), dtype: str = "uint8") -> Schema:
    return Schema((Column("image", "image"),), (TensorSpec("image", dtype, shape),), TARGET)


def pictures(n: int, shape: tuple[int, int, int], dtype: str, seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    # Smooth on the whole, as pictures are, with a few hard edges.
    y, x = np.mgrid[: shape[1], : shape[2]] / max(shape[1:])
    soft = 0.5 + 0.4 * np.sin(6 * (x + y) + random.uniform(0, 6, (n, shape[0], 1, 1)))
    pixels = np.where(random.random((n, *shape)) < 0.1, random.random((n, *shape)), soft)
    return {"image": (pixels * 255).astype(np.uint8) if dtype == "uint8" else (pixels * 4 - 2).astype(dtype)}


def rows(n: int, seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    numbers = (random.normal(size=(n, 3)) * (1, 30, 0.01) + (0, 100, 5)).astype(np.float32)
    numbers[random.random((n, 3)) < 0.1] = np.nan
    return {"numbers": numbers, "categories": random.integers(0, 3, (n, 1))}


def damages(schema: Schema, *names: str) -> list[Damage]:
    parts = parts_of(schema, schema.inputs)
    return damages_for(parts, names or None, [part.name for part in parts])


def changes(before: Mapping[str, npt.NDArray[np.generic]], after: Mapping[str, npt.NDArray[np.generic]]) -> float:
    """How far the arrays are from each other, in any unit; a value that went missing is one."""
    total = 0.0
    for name, array in before.items():
        one, other = array.astype(np.float64), after[name].astype(np.float64)
        total += (
            float(np.abs(np.nan_to_num(one) - np.nan_to_num(other)).sum()) + (np.isnan(one) != np.isnan(other)).sum()
        )
    return total


def test_the_corruptions_are_these() -> None:
    assert corruptions.names() == tuple(sorted((*OF_IMAGES, *OF_TABLES)))
    assert {damage.name for damage in damages(picture())} == set(OF_IMAGES)
    assert {damage.name for damage in damages(TABLE)} == set(OF_TABLES)


@pytest.mark.parametrize("name", [*OF_IMAGES, *OF_TABLES])
def test_amounts_are_five_and_said_in_words(name: str) -> None:
    schema = picture() if name in OF_IMAGES else TABLE
    for damage in damages(schema, name):
        words = [damage.says(severity) for severity in SEVERITIES]
        assert len(set(words)) == 5
        assert not any("{" in text for text in words)


@pytest.mark.parametrize("name", OF_IMAGES)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.sampled_from((1, 3, 4)), st.integers(1, 17), st.integers(1, 17)),
    dtype=st.sampled_from(("uint8", "float32", "float16", "float64")),
    n=st.integers(0, 5),
    severity=st.sampled_from((0, *SEVERITIES)),
    seed=st.integers(0, 2**32 - 1),
)
def test_pictures_stay_what_they_are(
    name: str, shape: tuple[int, int, int], dtype: str, n: int, severity: int, seed: int
) -> None:
    (damage,) = damages(picture(shape, dtype), name)
    inputs, reference = pictures(n, shape, dtype, seed), pictures(6, shape, dtype, 1)
    kept = {key: array.copy() for key, array in inputs.items()}
    found = damage.of(inputs, severity, reference, seed)
    again = damage.of(inputs, severity, reference, seed)
    image, usual = found["image"], reference["image"]
    assert (image.shape, image.dtype) == (kept["image"].shape, kept["image"].dtype)
    assert np.array_equal(inputs["image"], kept["image"]), "what was given is not written to"
    assert np.array_equal(image, again["image"])
    assert np.isfinite(image.astype(np.float64)).all()
    if n:
        low, high = (float(f([f(kept["image"]), f(usual)])) for f in (np.min, np.max))
        slack = {"float16": 1e-2, "float64": 1e-6}.get(dtype, 0.0)
        assert image.min() >= (0 if dtype == "uint8" else low - slack)
        assert image.max() <= (255 if dtype == "uint8" else high + slack)
    if severity == 0:
        assert np.array_equal(image, kept["image"])


@pytest.mark.parametrize("name", OF_TABLES)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(0, 40), severity=st.sampled_from((0, *SEVERITIES)), seed=st.integers(0, 2**32 - 1), few=st.booleans()
)
def test_tables_stay_what_they_are(name: str, n: int, severity: int, seed: int, few: bool) -> None:
    reference = rows(0 if few else 50, 1)
    for damage in damages(TABLE, name):
        inputs = rows(n, seed % 1000)
        kept = {key: array.copy() for key, array in inputs.items()}
        found, again = (damage.of(inputs, severity, reference, seed) for _ in range(2))
        for key, array in kept.items():
            assert (found[key].shape, found[key].dtype) == (array.shape, array.dtype)
            assert np.array_equal(inputs[key], array, equal_nan=key == "numbers")
            assert np.array_equal(found[key], again[key], equal_nan=key == "numbers")
            if severity == 0:
                assert np.array_equal(found[key], array, equal_nan=key == "numbers")
        assert not np.isinf(found["numbers"]).any()
        assert set(np.unique(found["categories"])) <= {0, 1, 2}, "a code of no category would be no damage but a bug"
        if name != "missing_values":
            assert np.isnan(found["numbers"]).sum() <= np.isnan(kept["numbers"]).sum() or name == "stale_values"


@pytest.mark.parametrize("name", [*OF_IMAGES, *OF_TABLES])
def test_a_higher_severity_does_more(name: str) -> None:
    is_image = name in OF_IMAGES
    schema = picture((3, 16, 16)) if is_image else TABLE
    inputs = pictures(200, (3, 16, 16), "uint8") if is_image else rows(400)
    for damage in damages(schema, name):
        done = [changes(inputs, damage.of(inputs, severity, inputs, 3)) for severity in SEVERITIES]
        assert done[0] > 0
        assert done == sorted(done)


@pytest.mark.parametrize("name", ["gaussian_noise", "impulse_noise", "occlusion", "rotation", "shot_noise"])
def test_another_seed_gives_other_damage(name: str) -> None:
    (damage,) = damages(picture(), name)
    inputs = pictures(20, (1, 8, 8), "uint8")
    one, other = (damage.of(inputs, 3, inputs, seed)["image"] for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_what_is_hit_first_is_hit_in_every_severity() -> None:
    (damage,) = damages(TABLE, "missing_values")
    inputs = rows(300)
    lost = [np.isnan(damage.of(inputs, severity, inputs)["numbers"]) for severity in SEVERITIES]
    assert all((weak <= strong).all() for weak, strong in itertools.pairwise(lost))


def test_noise_is_scaled_to_the_spread_of_each_column() -> None:
    (damage,) = damages(TABLE, "noisy_numbers")
    inputs = rows(4000)
    noise = damage.of(inputs, 4, inputs)["numbers"] - inputs["numbers"]
    assert np.nanstd(noise, axis=0) == pytest.approx(np.nanstd(inputs["numbers"], axis=0), rel=0.05)


def test_noise_of_pictures_is_scaled_to_the_spread_of_their_pixels() -> None:
    (damage,) = damages(picture(dtype="float32"), "gaussian_noise")
    inputs = pictures(100, (1, 8, 8), "float32")
    dim = {"image": inputs["image"] / 1000}
    noise = [float((damage.of(one, 1, one)["image"] - one["image"]).std()) for one in (inputs, dim)]
    assert noise[0] == pytest.approx(1000 * noise[1], rel=1e-3)
    assert noise[0] == pytest.approx(0.15 * inputs["image"].std(), rel=0.1)


def test_a_dead_column_has_its_usual_value_and_no_other_column_changes() -> None:
    inputs = rows(101)
    numbers, hue = (damages(TABLE, "dead_column")[index] for index in (1, 3))
    assert (numbers.column, hue.column) == ("width", "hue")
    found = numbers.of(inputs, 5, inputs)["numbers"]
    there = np.sort(inputs["numbers"][:, 1][~np.isnan(inputs["numbers"][:, 1])])
    assert set(found[:, 1]) == {there[len(there) // 2]}
    assert np.array_equal(found[:, [0, 2]], inputs["numbers"][:, [0, 2]], equal_nan=True)
    assert len(set(hue.of(inputs, 5, inputs)["categories"][:, 0])) == 1


def test_a_unit_error_multiplies_one_column() -> None:
    damage = damages(TABLE, "scaled_column")[0]
    inputs = rows(20)
    found = damage.of(inputs, 5, inputs)["numbers"]
    assert found[:, 0] == pytest.approx(inputs["numbers"][:, 0] * 1000, nan_ok=True)
    huge = {**inputs, "numbers": np.full((20, 3), 3e38, np.float32)}
    assert np.isfinite(damage.of(huge, 5, inputs)["numbers"]).all(), "no model answers for what is infinite"


def test_stale_values_keep_each_column_as_it_is() -> None:
    (damage,) = damages(TABLE, "stale_values")
    inputs = rows(500)
    found = damage.of(inputs, 5, inputs)["numbers"]
    assert np.array_equal(np.sort(found, axis=0), np.sort(inputs["numbers"], axis=0), equal_nan=True)
    assert not np.array_equal(found, inputs["numbers"], equal_nan=True)


def test_a_tilted_column_stays_in_its_range_and_only_rises() -> None:
    damage = damages(TABLE, "tilted_column")[1]
    inputs = rows(500)
    found, before = damage.of(inputs, 5, inputs)["numbers"][:, 1], inputs["numbers"][:, 1]
    there = ~np.isnan(before)
    assert (found[there] >= before[there]).all()
    assert found[there].max() == before[there].max()
    assert np.median(found[there]) > np.quantile(before[there], 0.75)


def test_swapped_columns_are_neighbours_and_the_last_of_an_odd_number_stays() -> None:
    (damage,) = damages(TABLE, "swapped_columns")
    inputs = rows(50)
    found = damage.of(inputs, 5, inputs)["numbers"]
    assert np.array_equal(found, inputs["numbers"][:, [1, 0, 2]], equal_nan=True)


def test_a_picture_turned_by_nothing_is_the_same_and_by_a_quarter_is_its_transpose() -> None:
    from mltool.datasets.corruptions.rotation import rotated

    image = pictures(3, (2, 9, 9), "float32")["image"].astype(np.float32)
    assert rotated(image, 0) == pytest.approx(image, abs=1e-6)
    quarter = rotated(image, 90)
    assert quarter == pytest.approx(np.rot90(image, axes=(2, 3)), abs=1e-5) or quarter == pytest.approx(
        np.rot90(image, -1, axes=(2, 3)), abs=1e-5
    )


def test_blur_keeps_the_mean_of_what_lies_inside_and_a_flat_picture() -> None:
    for name in ("gaussian_blur", "motion_blur", "pixelate"):
        (damage,) = damages(picture((1, 16, 16), "float32"), name)
        flat = {"image": np.full((2, 1, 16, 16), 0.5, np.float32)}
        usual = pictures(5, (1, 16, 16), "float32")
        assert damage.of(flat, 5, usual)["image"] == pytest.approx(flat["image"], abs=1e-5)
        dot = {"image": np.zeros((1, 1, 16, 16), np.float32)}
        dot["image"][0, 0, 8, 8] = 1
        assert damage.of(dot, 3, dot)["image"].sum() == pytest.approx(1, abs=1e-4)


def test_occlusion_hides_the_share_that_it_says() -> None:
    (damage,) = damages(picture((3, 40, 40), "float32"), "occlusion")
    inputs = pictures(30, (3, 40, 40), "float32")
    for severity, share in zip(SEVERITIES, (0.05, 0.1, 0.2, 0.3, 0.4), strict=True):
        found = damage.of(inputs, severity, inputs)["image"]
        hidden = (np.abs(found - inputs["image"]) > 1e-3).any(axis=1).mean()
        assert hidden == pytest.approx(share, abs=0.02)


def test_a_table_of_one_column_has_no_neighbour_to_swap_with() -> None:
    schema = Schema((Column("only", "number"),), (TensorSpec("numbers", "float32", (1,)),), TARGET)
    assert "swapped_columns" not in {damage.name for damage in damages(schema)}
    with pytest.raises(ConfigError, match="the corruption `swapped_columns` does not fit") as caught:
        damages(schema, "swapped_columns")
    assert "noisy_numbers" in str(caught.value.hint)


def test_a_prepared_tensor_has_columns_but_no_gaps() -> None:
    schema = Schema((Column("x", "tensor"),), (TensorSpec("x", "float32", (4,)),), TARGET)
    found = {damage.name for damage in damages(schema)}
    assert found == {
        "dead_column", "noisy_numbers", "scaled_column", "stale_values", "swapped_columns", "tilted_column"
    }  # fmt: skip
    assert [damage.label for damage in damages(schema, "dead_column")][1] == "dead column: x[1]"


@pytest.mark.parametrize("shape", [(300,), (7, 5), (2, 3, 4, 5)])
def test_a_tensor_that_is_no_row_of_columns_gets_noise_alone(shape: tuple[int, ...]) -> None:
    schema = Schema((Column("x", "tensor"),), (TensorSpec("x", "float32", shape),), TARGET)
    (damage,) = damages(schema)
    assert damage.name == "noisy_numbers"
    x = {"x": np.random.default_rng(0).normal(size=(9, *shape)).astype(np.float32)}
    assert damage.of(x, 4, x)["x"].shape == (9, *shape)


def test_whole_numbers_that_are_no_categories_are_left_alone() -> None:
    spec = TensorSpec("tokens", "int64", (12,))
    assert parts_of(Schema((Column("tokens", "tensor"),), (spec,), TARGET), (spec,)) == ()


def test_an_unknown_corruption_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="unknown corruption `gausian_blur`") as caught:
        damages(picture(), "gausian_blur")
    assert caught.value.hint == "did you mean `gaussian_blur`?"


def test_a_name_of_a_column_that_is_not_there_befalls_nothing() -> None:
    assert damages_for((Part("a", "number", "x", 0),), ("dead_column",), ["b"]) == []
