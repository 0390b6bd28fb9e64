from __future__ import annotations

import numpy as np
import pytest

from mltool.core.errors import InputError
from mltool.runtimes.runner import Runner, run_all
from mltool.runtimes.samples import Samples


class RunnerContract:
    """What every runtime must do; a subclass gives the fixtures `runner` and `samples`, of the same model."""

    @pytest.fixture
    def runner(self) -> Runner:
        raise NotImplementedError

    @pytest.fixture
    def samples(self) -> Samples:
        raise NotImplementedError

    def test_it_answers_as_the_eager_network_did(self, runner: Runner, samples: Samples) -> None:
        outputs = runner.run(samples.inputs)
        for name, expected in samples.outputs.items():
            assert np.abs(outputs[name] - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())

    def test_outputs_have_the_names_dtypes_and_shapes_of_the_signature(self, runner: Runner, samples: Samples) -> None:
        outputs = runner.run(samples.inputs)
        assert list(outputs) == [spec.name for spec in runner.signature.outputs]
        for spec in runner.signature.outputs:
            assert outputs[spec.name].dtype == spec.dtype
            assert outputs[spec.name].shape == (len(samples), *spec.shape)

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 17])
    def test_a_sample_has_the_same_answer_in_every_batch(self, size: int, runner: Runner, samples: Samples) -> None:
        whole, parts = runner.run(samples.inputs), run_all(runner, samples.inputs, size)
        for name, expected in whole.items():
            assert np.allclose(parts[name], expected, rtol=1e-4, atol=1e-5)

    def test_batches_larger_than_any_before_work(self, runner: Runner, samples: Samples) -> None:
        many = {name: np.concatenate([array] * 3) for name, array in samples.inputs.items()}
        outputs = runner.run(many)
        for name, expected in runner.run(samples.inputs).items():
            assert np.allclose(outputs[name][-len(samples) :], expected, rtol=1e-4, atol=1e-5)

    def test_inputs_in_another_order_of_names_and_memory_are_the_same(self, runner: Runner, samples: Samples) -> None:
        turned = {name: np.asfortranarray(array) for name, array in reversed(samples.inputs.items())}
        outputs = runner.run(turned)
        for name, expected in runner.run(samples.inputs).items():
            assert np.array_equal(outputs[name], expected)

    def test_read_only_inputs_are_accepted_and_left_as_they_are(self, runner: Runner, samples: Samples) -> None:
        inputs = {name: array.copy() for name, array in samples.inputs.items()}
        for array in inputs.values():
            array.setflags(write=False)
        runner.run(inputs)
        assert all(np.array_equal(inputs[name], samples.inputs[name], equal_nan=True) for name in inputs)

    def test_answers_belong_to_the_caller(self, runner: Runner, samples: Samples) -> None:
        first = runner.run(samples.inputs)
        kept = {name: array.copy() for name, array in first.items()}
        runner.run({name: array[::-1].copy() for name, array in samples.inputs.items()})
        assert all(np.array_equal(first[name], kept[name]) for name in first)

    def test_an_unknown_input_is_refused(self, runner: Runner, samples: Samples) -> None:
        with pytest.raises(InputError, match="the model has no input `extra`"):
            runner.run({**samples.inputs, "extra": np.zeros(3)})

    def test_a_missing_input_is_refused(self, runner: Runner, samples: Samples) -> None:
        name = next(iter(samples.inputs))
        with pytest.raises(InputError, match=f"the input `{name}` is missing"):
            runner.run({key: array for key, array in samples.inputs.items() if key != name})

    def test_another_dtype_and_another_shape_are_refused(self, runner: Runner, samples: Samples) -> None:
        name, array = next(iter(samples.inputs.items()))
        for wrong in (array.astype(np.complex64), array[..., None], array[..., :-1]):
            with pytest.raises(InputError, match=f"the input `{name}` is {wrong.dtype}"):
                runner.run({**samples.inputs, name: wrong})
