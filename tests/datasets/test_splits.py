from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.core.errors import DataError
from mltool.datasets.splits import carve, complete

# Axes: N rows

FRACTIONS = st.floats(0.0, 0.9)
CODES = st.lists(st.integers(0, 4), min_size=1, max_size=120).map(lambda codes: np.array(codes, np.int64))


def rows(num_rows: int) -> npt.NDArray[np.int64]:
    return np.arange(num_rows, dtype=np.int64)


def completed(num_rows: int, **knobs: object) -> tuple[dict[str, list[int]], list[str]]:
    given_splits = {name: np.array(some) for name, some in dict(knobs.pop("given", {})).items()}  # type: ignore[call-overload]
    values = {"validation_fraction": 0.15, "test_fraction": 0.2, "seed": 0, **knobs}
    stratify_N = values.pop("stratify_N", None)
    splits, notes = complete(num_rows, given_splits, stratify_N, **values)  # type: ignore[arg-type]
    return {name: some.tolist() for name, some in splits.items()}, notes


@given(codes_N=CODES, fraction=FRACTIONS, seed=st.integers(0, 1000), stratify=st.booleans(), data=st.data())
def test_carving_divides_rows_into_two_rising_parts_of_the_right_sizes(
    codes_N: npt.NDArray[np.int64], fraction: float, seed: int, stratify: bool, data: st.DataObject
) -> None:
    some = data.draw(st.lists(st.sampled_from(range(len(codes_N))), unique=True))
    some_N = np.array(sorted(some), dtype=np.int64)
    rest_N, carved_N = carve(some_N, fraction, seed, codes_N if stratify else None)
    assert len(carved_N) == round(len(some_N) * fraction)
    assert sorted([*rest_N.tolist(), *carved_N.tolist()]) == some_N.tolist()
    assert (np.diff(rest_N) > 0).all()
    assert (np.diff(carved_N) > 0).all()


@given(
    num_rows=st.integers(1, 600),
    shares=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=5),
    fraction=FRACTIONS,
    seed=st.integers(0, 1000),
)
def test_a_stratified_part_holds_the_same_share_of_every_class(
    num_rows: int, shares: list[float], fraction: float, seed: int
) -> None:
    codes_N = np.random.default_rng(seed).choice(len(shares), num_rows, p=np.array(shares) / sum(shares))
    _, carved_N = carve(rows(num_rows), fraction, seed, codes_N)
    share = len(carved_N) / num_rows
    classes, counts = np.unique(codes_N, return_counts=True)
    for code, count in zip(classes, counts, strict=True):
        # Every class is cut at the same place, to one row; the place itself is off by a row a class at most.
        tolerance = 1 + len(classes) * count / num_rows
        assert abs((codes_N[carved_N] == code).sum() - count * share) <= tolerance


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_class_reaches_every_split_of_a_large_table(seed: int) -> None:
    codes_N = np.repeat([0, 1], [1000, 20])
    splits, _ = completed(1020, stratify_N=codes_N, seed=seed)
    counts = {name: int(codes_N[some].sum()) for name, some in splits.items()}
    assert counts == {"train": 13, "validation": 3, "test": 4}


@given(seed=st.integers(0, 1000))
def test_the_same_seed_carves_the_same_rows_and_another_seed_others(seed: int) -> None:
    codes_N = np.arange(200) % 3
    first, again, other = (carve(rows(200), 0.3, s, codes_N)[1].tolist() for s in (seed, seed, seed + 1))
    assert first == again != other


def test_classes_of_one_row_each_are_carved_at_random_too() -> None:
    first, other = (carve(rows(100), 0.2, seed, rows(100))[1] for seed in (0, 1))
    assert first.tolist() != other.tolist()
    assert first[-1] > 50


@pytest.mark.parametrize("given", ["test", "validation"])
def test_the_seed_carves_the_test_and_the_validation_rows(given: str) -> None:
    carved = {"test": "validation", "validation": "test"}[given]
    one, again, other = (completed(100, given={given: range(20)}, seed=seed)[0][carved] for seed in (0, 0, 1))
    assert one == again != other


def test_carved_rows_are_no_block_and_not_in_the_order_of_the_file() -> None:
    _, carved_N = carve(rows(1000), 0.2, 0)
    assert carved_N[0] < 50
    assert carved_N[-1] > 950
    assert len(set(np.diff(carved_N).tolist())) > 5


@given(
    num_rows=st.integers(2, 300),
    test=FRACTIONS,
    validation=FRACTIONS,
    seed=st.integers(0, 99),
    stratify=st.booleans(),
)
def test_every_row_is_in_exactly_one_split_and_fractions_are_of_the_whole(
    num_rows: int, test: float, validation: float, seed: int, stratify: bool
) -> None:
    knobs = {"test_fraction": test, "validation_fraction": validation, "seed": seed}
    if stratify:
        knobs["stratify_N"] = rows(num_rows) % 3
    try:
        splits, _ = completed(num_rows, **knobs)
    except DataError:
        assert num_rows * (1 - test - validation) < 1.5
        return
    assert sorted(row for some in splits.values() for row in some) == list(range(num_rows))
    assert abs(len(splits["test"]) - num_rows * test) <= 0.5
    assert abs(len(splits["validation"]) - num_rows * validation) <= 1.5
    assert splits["train"]


def test_what_is_carved_is_said_and_what_is_given_is_kept() -> None:
    splits, notes = completed(100)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [65, 15, 20]
    assert notes == [
        "carved out 20 rows for the test (`data.test_fraction=0.2`)",
        "carved out 15 rows for validation (`data.validation_fraction=0.15`)",
    ]
    splits, notes = completed(100, given={"train": range(60), "test": range(60, 100)})
    assert splits["test"] == list(range(60, 100))
    assert sorted(splits["train"] + splits["validation"]) == list(range(60))
    assert notes == ["carved out 9 rows for validation (`data.validation_fraction=0.15`)"]
    splits, notes = completed(10, given={"train": [0, 1], "validation": [5], "test": [7, 2]})
    assert (splits, notes) == ({"train": [0, 1], "validation": [5], "test": [7, 2]}, [])


def test_rows_of_no_given_split_train() -> None:
    splits, notes = completed(10, given={"validation": [0, 3], "test": [9]})
    assert splits["train"] == [1, 2, 4, 5, 6, 7, 8]
    assert notes == []


@pytest.mark.parametrize(
    ("num_rows", "knobs"),
    [
        (0, {}),
        (1, {"test_fraction": 0.6}),
        (4, {"given": {"test": range(4)}}),
        (100, {"test_fraction": 0.5, "validation_fraction": 0.5}),
        (100, {"test_fraction": 0.9, "validation_fraction": 0.9}),
    ],
)
def test_nothing_left_to_train_on_is_an_error(num_rows: int, knobs: dict[str, object]) -> None:
    with pytest.raises(DataError, match=f"no row is left to train on: there are {num_rows}") as caught:
        completed(num_rows, **knobs)
    assert "data.test_fraction" in str(caught.value.hint)
