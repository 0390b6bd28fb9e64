"""Time per call of a model as `mltool compile` made it, against its eager fp32 network, one sample a call.

    python tests/benchmarks/bench_compiled.py [--json OUT] [--quick]

The networks are an MLP on 64 numbers and a CNN on pictures of 28 x 28. The compiled model answers as it does when it
serves: arrays in, checked against the signature, and arrays out, probabilities among them. `arrays to arrays` does the
same work without the check, and the goals are judged against it; `tensor to tensor` does less, logits alone. The eager
network has one thread; what all cores do for it is measured after the rest, because its idle threads go on spinning
into the turns of others.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from _harness import Cost, Report, cost_of, interleave, ratio, start
from torch import Tensor, nn

import mltool
from mltool.core import host
from mltool.runtimes.runner import candidate_of, load

COMPILED, TENSOR, ARRAYS, ALL_CORES = (
    "compiled",
    "eager, tensor to tensor",
    "eager, arrays to arrays",
    "eager, all cores",
)
NUM_SAMPLES, NUM_CLASSES = 256, 10


@dataclass(frozen=True)
class Case:
    """A network, the shape of its samples, how often the compiled one must be as fast, and calls a turn."""

    name: str
    network: nn.Module
    shape: tuple[int, ...]
    goal: float
    calls: int


def mlp() -> nn.Module:
    layers = (nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, NUM_CLASSES))
    return nn.Sequential(*layers)


def cnn() -> nn.Module:
    def block(channels_in: int, channels: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels_in, channels, 3, padding=1)
        return [convolution, nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2)]

    head = (nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, NUM_CLASSES))
    return nn.Sequential(*block(1, 16), *block(16, 32), *head)


@contextmanager
def threads(num: int):  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    torch.set_num_threads(num)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(report: Report, case: Case, rounds: int) -> None:
    network, samples = case.network.eval(), torch.randn(NUM_SAMPLES, *case.shape)
    with torch.no_grad():
        labels = network(samples).argmax(1)
    mltool.save(network, samples, labels, name=case.name)
    variant = mltool.compile_model(case.name)
    chosen = candidate_of(variant.artifact)
    runner = load(variant.artifact)
    (name,) = (spec.name for spec in runner.signature.inputs)
    array, tensor = samples[:1].numpy(), samples[:1]

    def arrays_to_arrays() -> tuple[np.ndarray, np.ndarray]:
        logits = network(torch.from_numpy(array))
        return logits.numpy(), logits.softmax(1).numpy()

    def turn(call: Callable[[], object], num_threads: int = 1) -> Callable[[], Cost]:
        def calls() -> None:
            for _ in range(case.calls):
                call()

        def cost() -> Cost:
            with threads(num_threads), torch.inference_mode():
                return cost_of(calls) / case.calls

        return cost

    def eager() -> Tensor:
        return network(tensor)  # type: ignore[no-any-return]

    variants = {
        TENSOR: turn(eager),
        ARRAYS: turn(arrays_to_arrays),
        COMPILED: turn(lambda: runner.run({name: array})),
    }
    costs = interleave(variants, rounds)
    what = "the model stays" if variant.kept_parent else "its choice"
    report.costs(f"{case.name}: one sample; {what}: {chosen.name}", costs, COMPILED)
    all_cores = {TENSOR: variants[TENSOR], ALL_CORES: turn(eager, host.num_cores())}
    report.costs(f"{case.name}: all cores for the eager network", interleave(all_cores, rounds // 3 + 1), TENSOR)
    report.goal(f"{case.name} compiled, against eager fp32", ratio(costs, ARRAYS, COMPILED), at_least=case.goal)


def main() -> None:
    report = start(__file__, __doc__)
    torch.manual_seed(0)
    cases = (Case("mlp", mlp(), (64,), 2.4, 3_000), Case("cnn28", cnn(), (1, 28, 28), 6.0, 500))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLTOOL_HOME"] = folder
        for case in cases:
            measure(report, case, 2 if report.quick else 25)
    report.finish()


if __name__ == "__main__":
    main()
