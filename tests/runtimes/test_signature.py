from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.core.errors import InputError
from mltool.datasets.schema import TensorSpec
from mltool.runtimes.runner import Signature, run_all, run_batches

SIGNATURE = Signature(
    (TensorSpec("image", "float32", (1, 4, 4)), TensorSpec("tokens", "int64", (-1,))),
    (TensorSpec("prediction", "float32", ()),),
)


def inputs(num_samples: int = 3, **changed: Any) -> dict[str, Any]:
    good = {
        "image": np.zeros((num_samples, 1, 4, 4), np.float32),
        "tokens": np.zeros((num_samples, 7), np.int64),
    }
    return {**good, **changed}


def test_a_signature_survives_json() -> None:
    assert Signature.from_json(SIGNATURE.to_json()) == SIGNATURE


def test_good_inputs_come_back_contiguous_and_in_the_models_order() -> None:
    given_inputs = dict(reversed(list(inputs().items())))
    given_inputs["image"] = np.zeros((4, 4, 1, 3), np.float32).T
    checked = SIGNATURE.checked(given_inputs)
    assert list(checked) == ["image", "tokens"]
    assert all(array.flags.c_contiguous for array in checked.values())


@given(st.integers(0, 5), st.integers(0, 50))
def test_an_axis_of_any_size_may_have_any_size(num_samples: int, length: int) -> None:
    tokens = np.zeros((num_samples, length), np.int64)
    assert SIGNATURE.checked(inputs(num_samples, tokens=tokens))["tokens"].shape == tokens.shape


@pytest.mark.parametrize(
    ("changed", "message", "hint"),
    [
        ({"imag": np.zeros(3)}, "the model has no input `imag`", "did you mean `image`?"),
        ({"weight": np.zeros(3)}, "the model has no input `weight`", "the model takes image, tokens"),
        (
            {"image": np.zeros((3, 1, 4, 4))},
            "the input `image` is float64 [3, 1, 4, 4], but float32 [N, 1, 4, 4] is needed",
            None,
        ),
        (
            {"image": np.zeros((3, 4, 4), np.float32)},
            "the input `image` is float32 [3, 4, 4], but float32 [N, 1, 4, 4] is needed",
            None,
        ),
        ({"tokens": np.zeros(3, np.int64)}, "the input `tokens` is int64 [3], but int64 [N, any] is needed", None),
        (
            {"tokens": np.zeros((2, 7), np.int64)},
            "the inputs differ in their number of samples: {'image': 3, 'tokens': 2}",
            None,
        ),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], message: str, hint: str | None) -> None:
    with pytest.raises(InputError) as caught:
        SIGNATURE.checked(inputs(**changed))
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_missing_input_says_what_it_is() -> None:
    with pytest.raises(InputError, match="the input `tokens` is missing") as caught:
        SIGNATURE.checked({"image": inputs()["image"]})
    assert caught.value.hint == "it is int64 [N, any]"


class Doubling:
    signature = Signature((TensorSpec("x", "float32", ()),), (TensorSpec("y", "float32", ()),))

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, inputs: Any) -> dict[str, Any]:
        self.sizes.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}


@given(st.integers(1, 40), st.integers(1, 50))
def test_batches_cover_every_sample_once_and_in_order(num_samples: int, batch_size: int) -> None:
    runner, x = Doubling(), np.arange(num_samples, dtype=np.float32)
    assert run_all(runner, {"x": x}, batch_size)["y"].tolist() == (x * 2).tolist()
    assert sum(runner.sizes) == num_samples
    assert set(runner.sizes[:-1]) <= {batch_size}
    assert runner.sizes[-1] <= batch_size


def test_no_samples_are_no_batches() -> None:
    assert list(run_batches(Doubling(), {"x": np.zeros(0, np.float32)}, 4)) == []
