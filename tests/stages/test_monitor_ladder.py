"""What a ladder says of itself, and after how many requests damage is noticed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from mltool.stages.monitor.ladder import Ladder, Rung
from mltool.stages.monitor.noticing import POWER, Watch
from mltool.statistics.drift import Detector
from mltool.statistics.reference import Reference, build_reference


def rung(lost: float, noticed_after: int | None = 10, low: float | None = None, **changes: object) -> Rung:
    plain = Rung(
        corruption="gaussian_blur",
        column="",
        severity=3,
        says="of strength 0.2",
        value=0.9 - lost,
        lost=lost,
        interval=(lost - 0.02 if low is None else low, lost + 0.02),
        noticed_after=noticed_after,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def ladder(*rungs: Rung, **changes: object) -> Ladder:
    plain = Ladder(
        model="digits@1",
        digest="ab" * 32,
        split="test",
        num_rows=300,
        metric="accuracy",
        clean=0.9,
        rungs=rungs,
        unseen=("image",),
        windows=(10, 50, 200),
        power=0.8,
        alpha=0.05,
        false_alarms=0.05,
        max_loss=0.05,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_silent_and_harmful_is_what_costs_much_and_is_not_noticed_the_worst_first() -> None:
    loud, quiet, worse, cheap = rung(0.4), rung(0.1, None), rung(0.2, None), rung(0.01, None)
    found = ladder(loud, quiet, worse, cheap)
    assert found.silent == [worse, quiet]
    assert found.harmful == [loud, worse, quiet]
    assert found.worst is loud
    assert found.metrics() == pytest.approx(
        {
            "accuracy": 0.9,
            "worst_accuracy": 0.5,
            "mean_retention": np.mean([0.5, 0.8, 0.7, 0.89]) / 0.9,
            "num_harmful": 3.0,
            "num_silent_and_harmful": 2.0,
        }
    )


def test_a_loss_that_may_be_chance_is_not_called_harmful() -> None:
    assert ladder(rung(0.06, None, low=-0.01)).silent == []
    assert len(ladder(rung(0.06, None, low=-0.01, interval=None)).silent) == 1, "a metric without interval is believed"


@pytest.mark.parametrize(
    ("found", "finding"),
    [
        (ladder(rung(0.4), rung(0.01, None)), "each that costs 0.05 accuracy or more is noticed within 200 requests"),
        (ladder(rung(0.04, None)), "no corruption costs 0.05 accuracy or more"),
        (
            ladder(rung(0.1, None), rung(0.4)),
            "one corruption is silent and harmful: gaussian blur at severity 3 (of strength 0.2) costs 0.1 accuracy, "
            "and `drift` does not notice it within 200 requests",
        ),
        (
            ladder(rung(0.1, None), rung(0.3, None, corruption="dead_column", column="age")),
            "2 of 2 corruptions are silent and harmful: dead column of `age` at severity 3 (of strength 0.2) costs "
            "0.3 accuracy, and `drift` does not notice it within 200 requests",
        ),
        (ladder(rung(0.1, None), windows=(), false_alarms=None), "1 of 1 corruptions cost 0.05 accuracy or more"),
    ],
)
def test_the_finding_is_one_sentence(found: Ladder, finding: str) -> None:
    assert found.finding == finding


def test_the_summary_names_the_worst() -> None:
    assert ladder(rung(0.4), rung(0.3)).summary == (
        "the worst corruption is gaussian blur at severity 3 (of strength 0.2), with accuracy 0.5 instead of 0.9; "
        "each that costs 0.05 accuracy or more is noticed within 200 requests"
    )
    assert ladder(rung(0.0), rung(-0.01)).summary == "none of 2 corruptions costs accuracy"


def test_a_model_that_is_always_wrong_keeps_nothing_and_that_is_no_number() -> None:
    found = ladder(rung(0.0, value=0.0), clean=0.0)
    assert found.to_json()["mean_retention"] is None
    assert np.isnan(found.metrics()["mean_retention"])
    json.dumps(found.to_json(), allow_nan=False)


def test_a_ladder_is_the_same_after_a_round_through_json() -> None:
    found = ladder(rung(0.1, None), rung(0.3, 50, interval=None))
    assert Ladder.from_json(json.loads(json.dumps(found.to_json()))) == found


# When it is noticed ---------------------------------------------------------------------------------------------------

NUM_KEPT = 300


@pytest.fixture(scope="module")
def reference() -> Reference:
    x = np.random.default_rng(1).normal(size=(900, 2)).astype(np.float32)
    return build_reference(
        numbers={"x[0]": x[:, 0], "x[1]": x[:, 1]},
        categories={},
        target_classes=None,
        rows={"x": x},
        outputs={"prediction": x.sum(axis=1)},
        row_split="validation",
    )


def watch(reference: Reference, **changes: object) -> Watch:
    options = {"sizes": (10, 50, 200, 500), "redraws": 20, "alpha": 0.05, "seed": 0, **changes}
    return Watch(reference, NUM_KEPT, **options)  # type: ignore[arg-type]


def first(own: Watch, x: np.ndarray, at_least: int | None = 0) -> int | None:
    return own.first({"x": x}, {"prediction": x.sum(axis=1)}, at_least)


def test_a_large_shift_is_noticed_at_once_and_a_small_one_later(reference: Reference) -> None:
    own, rows = watch(reference), reference.rows["x"]
    noticed = [first(own, rows + np.float32([shift, 0])) for shift in (4.0, 0.7, 0.3)]
    assert noticed[0] == 10
    assert noticed[1] == 50
    assert noticed[2] in (200, 500)
    assert first(own, rows) is None


def test_the_size_is_the_smallest_at_which_four_of_five_windows_alarm(reference: Reference) -> None:
    """Held against the full check of fresh rows by a detector of others."""
    random = np.random.default_rng(7)
    shift = np.float32([0.6, 0])
    shares = {}
    for size in (10, 50, 200):
        alarms = []
        for seed in range(40):
            x, current = (random.normal(size=(n, 2)).astype(np.float32) for n in (NUM_KEPT, size))
            fresh = dataclasses.replace(reference, rows={"x": x}, outputs={"prediction": x.sum(axis=1)})
            shifted = current + shift
            found = Detector.of(fresh).check({"x": shifted}, {"prediction": shifted.sum(axis=1)}, seed=seed)
            alarms.append(found.alarm)
        shares[size] = float(np.mean(alarms))
    noticed = first(watch(reference), reference.rows["x"] + shift)
    assert noticed is not None
    assert shares[noticed] > POWER - 0.15
    assert all(share < POWER + 0.1 for size, share in shares.items() if size < noticed)


def test_what_is_milder_is_not_noticed_sooner(reference: Reference) -> None:
    own = watch(reference)
    assert first(own, reference.rows["x"] + 4, at_least=200) == 200
    assert first(own, reference.rows["x"] + 4, at_least=None) is None


@pytest.mark.parametrize("size", [10, 100, 600])
def test_undamaged_windows_alarm_about_as_often_as_promised(reference: Reference, size: int) -> None:
    """Also in windows of all the rest: it is the reference that differs each time."""
    own = watch(reference, redraws=100, sizes=(size,))
    assert own.false_alarms(reference.rows, reference.outputs) <= 0.14  # 3 standard errors above 0.05


def test_windows_that_the_rows_do_not_allow_are_left_out(reference: Reference) -> None:
    assert watch(reference, sizes=(10, 600, 601)).sizes == (10, 600)
    assert watch(reference, sizes=(601,)).sizes == ()
    assert watch(reference, sizes=(50, 10, 50)).sizes == (10, 50)
