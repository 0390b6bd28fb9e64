from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.statistics.intervals import metric_intervals, paired_interval, wilson_interval
from mltool.statistics.metrics import classification_metrics, regression_metrics


def means(values_N: np.ndarray) -> dict[str, float]:
    return {"mean": float(values_N.mean())}


@given(st.integers(1, 10_000), st.data(), st.floats(0.5, 0.999))
def test_a_wilson_interval_holds_the_rate_and_stays_within_zero_and_one(
    num_samples: int, data: st.DataObject, level: float
) -> None:
    num_correct = data.draw(st.integers(0, num_samples))
    low, high = wilson_interval(num_correct, num_samples, level)
    assert 0 <= low <= num_correct / num_samples <= high <= 1
    assert low < high
    wider_low, wider_high = wilson_interval(num_correct, num_samples, (1 + level) / 2)
    assert wider_low <= low
    assert high <= wider_high
    mirrored = wilson_interval(num_samples - num_correct, num_samples, level)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


def test_wilson_agrees_with_published_values() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20, both at 95%.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.98])
def test_wilson_covers_a_binomial_rate_about_as_often_as_promised(rate: float) -> None:
    num_correct = np.random.default_rng(0).binomial(100, rate, size=4_000)
    covered = [low <= rate <= high for low, high in (wilson_interval(int(k), 100) for k in num_correct)]
    assert 0.92 < np.mean(covered) < 0.98


def test_the_bootstrap_covers_a_binomial_rate_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        low, high = metric_intervals(means, rng.binomial(1, 0.7, 200), seed=trial)["mean"]
        covered += low <= 0.7 <= high
    # 300 trials: the standard error of 0.95 is 0.013.
    assert 0.90 < covered / 300 < 0.99


@pytest.mark.parametrize(("level", "num_sigmas"), [(0.95, 1.96), (0.80, 1.2816)])
def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_says(level: float, num_sigmas: float) -> None:
    values = np.random.default_rng(0).normal(size=500)
    low, high = metric_intervals(means, values, level=level, num_resamples=4_000)["mean"]
    assert high - low == pytest.approx(2 * num_sigmas * values.std() / 500**0.5, rel=0.05)


def test_an_interval_is_widened_to_hold_a_value_that_no_resample_reaches() -> None:
    # A resample shows about 63% of the rows, so that this metric is 1 only for the rows themselves.
    shown = metric_intervals(lambda a: {"shown": len(np.unique(a)) / len(a)}, np.arange(500))["shown"]
    assert shown[1] == 1.0
    assert shown[0] < 0.7
    hidden = metric_intervals(lambda a: {"hidden": 1 - len(np.unique(a)) / len(a)}, np.arange(500))["hidden"]
    assert hidden[0] == 0.0
    assert hidden[1] > 0.3


@pytest.mark.parametrize("row", [0, 39])
def test_the_first_and_the_last_row_are_drawn_as_well(row: int) -> None:
    values = np.zeros(40)
    values[row] = 1.0
    assert metric_intervals(means, values)["mean"][1] > values.mean()


def test_another_seed_draws_other_rows() -> None:
    values = np.random.default_rng(0).normal(size=50)
    one, again, other = (metric_intervals(means, values, seed=seed)["mean"] for seed in (1, 1, 2))
    assert one == again != other


def test_the_accuracy_of_a_classifier_gets_wilsons_interval() -> None:
    probabilities = np.eye(2)[np.zeros(50, int)]
    intervals = metric_intervals(classification_metrics, probabilities, np.zeros(50, int))
    assert intervals["accuracy"] == wilson_interval(50, 50)
    assert intervals["f1_macro"] == (1.0, 1.0)
    wide = metric_intervals(classification_metrics, probabilities, np.zeros(50, int), level=0.99)
    assert wide["accuracy"] == wilson_interval(50, 50, 0.99) != intervals["accuracy"]


def test_another_function_that_calls_something_accuracy_is_bootstrapped() -> None:
    pixel_accuracy = np.random.default_rng(0).random(40)
    interval = metric_intervals(lambda a: {"accuracy": means(a)["mean"]}, pixel_accuracy)["accuracy"]
    assert interval == metric_intervals(means, pixel_accuracy)["mean"]


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_intervals_are_ordered_hold_the_value_and_repeat_with_the_seed(seed: int, num_rows: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), num_rows)
    target = rng.integers(0, 3, num_rows)
    values = classification_metrics(probabilities, target)
    intervals = metric_intervals(classification_metrics, probabilities, target, seed=seed, num_resamples=20)
    assert list(intervals) == list(values)
    for name, (low, high) in intervals.items():
        assert low <= values[name] <= high
    again = metric_intervals(classification_metrics, probabilities, target, seed=seed, num_resamples=20)
    assert again == intervals


def test_reducing_a_classifier_to_its_rows_gives_the_intervals_of_the_full_arrays() -> None:
    rng = np.random.default_rng(0)
    probabilities, target = rng.dirichlet(np.ones(4), 80), rng.integers(0, 4, 80)
    reduced = metric_intervals(classification_metrics, probabilities, target)
    full = metric_intervals(lambda p, t: classification_metrics(p, t), probabilities, target)
    for name in ("f1_macro", "log_loss", "calibration_error"):
        assert reduced[name] == pytest.approx(full[name])


def test_rows_of_several_arrays_stay_together() -> None:
    target = np.random.default_rng(0).normal(size=50)
    assert metric_intervals(regression_metrics, target, target)["rmse"] == (0.0, 0.0)


def test_every_row_is_resampled() -> None:
    lengths = set()

    def spy(values_N: np.ndarray) -> dict[str, float]:
        lengths.add(len(values_N))
        return means(values_N)

    metric_intervals(spy, np.arange(30_000.0), num_resamples=2)
    assert lengths == {30_000}


def test_limits_that_make_no_sense_are_refused() -> None:
    for level in (0, 1, 95, float("nan")):
        with pytest.raises(ValueError, match="level"):
            metric_intervals(means, np.ones(3), level=level)
        with pytest.raises(ValueError, match="level"):
            wilson_interval(1, 2, level)
    for num_correct, num_samples in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="proportion"):
            wilson_interval(num_correct, num_samples)
    for arrays in ((), (np.ones(0),), (np.ones(2), np.ones(3))):
        with pytest.raises(ValueError, match="one length"):
            metric_intervals(means, *arrays)
    with pytest.raises(ValueError, match="num_resamples"):
        metric_intervals(means, np.ones(3), num_resamples=0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=300), st.floats(0.5, 0.999))
def test_a_paired_interval_holds_the_loss_and_mirrors_when_the_two_change_places(
    pairs: list[tuple[bool, bool]], level: float
) -> None:
    before, after = np.array(pairs).T
    low, high = paired_interval(before, after, level)
    lost, rounding = before.mean() - after.mean(), 1e-12
    assert -1 <= low <= lost + rounding
    assert lost - rounding <= high <= 1
    assert low < high, "no sample says for certain that nothing changes"
    assert paired_interval(after, before, level) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("lost", "won"), [(0.0, 0.0), (0.02, 0.01), (0.2, 0.05)])
def test_a_paired_interval_covers_the_loss_about_as_often_as_promised(lost: float, won: float) -> None:
    random = np.random.default_rng(0)
    covered = []
    for _ in range(2_000):
        lot = random.random(200)
        before, after = lot > won, lot < 1 - lost  # the first `won` are right only after, the last `lost` only before
        low, high = paired_interval(before, after)
        covered.append(low <= lost - won <= high)
    assert np.mean(covered) > 0.92


@pytest.mark.parametrize("lengths", [(0, 0), (3, 4)])
def test_pairs_must_be_pairs(lengths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="pairs must be"):
        paired_interval(np.zeros(lengths[0], bool), np.zeros(lengths[1], bool))
