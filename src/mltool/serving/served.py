"""A model that is loaded and warm, under the name that clients know it by."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.references import check_name
from mltool.datasets.encoder import Encoder
from mltool.datasets.schema import Schema, schema_of
from mltool.runtimes.runner import Runner, Signature, load
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.serving.config import ServeConfig

_NUM_EXAMPLES = 12
LOOP_S = 0.002
"""How long the event loop may be kept from its connections by one batch."""
_LOOP_SINGLE_S = 0.0005
"""A model that is slower than this for one sample gains nothing from saving the hop to a thread."""


@dataclass(frozen=True, slots=True)
class Served:
    """What requests are answered with.

    Attributes:
        version: A number as text; `1` where the model has no name of its own.
        examples: A few samples that the model carries, by input name.
        loop_batch_size: Samples up to which a batch may run on the event loop; 0 for none.
    """

    name: str
    version: str
    model: Artifact
    schema: Schema
    runner: Runner
    encoder: Encoder
    examples: dict[str, npt.NDArray[Any]]
    loop_batch_size: int

    @property
    def signature(self) -> Signature:
        return self.runner.signature


def load_served(model: Artifact, config: ServeConfig) -> Served:
    """Load a model and run it until it is warm, in every batch size that the event loop may be given.

    Raises:
        ArtifactError: The model cannot be run.
        ConfigError: Its runtime is not installed.
    """
    threads = config.threads or model.config.get("run", {}).get("threads") or 1
    runner = load(model, None if config.backend == "auto" else config.backend, threads)
    schema = schema_of(model)
    samples = Samples.load(model.path / SAMPLES)
    name, version = _known_as(config.served_model_name or model.ref or model.digest[:12])
    return Served(
        name=name,
        version=version,
        model=model,
        schema=schema,
        runner=runner,
        encoder=Encoder(schema),
        examples=_examples(samples),
        loop_batch_size=_warm_up(runner, samples, config.max_batch_size),
    )


def _known_as(text: str) -> tuple[str, str]:
    """Name and version, as they stand in paths and in metrics."""
    name, _, version = text.partition("@")
    return check_name(name), check_name(version) if version else "1"


def _examples(samples: Samples) -> dict[str, npt.NDArray[Any]]:
    """The first samples, those that lack nothing before the others."""
    numbers_NF = samples.inputs.get("numbers", np.zeros((len(samples), 0), np.float32))
    rows = np.argsort(np.isnan(numbers_NF).sum(axis=1), kind="stable")[:_NUM_EXAMPLES]
    return {name: array[rows] for name, array in samples.inputs.items()}


def _warm_up(runner: Runner, samples: Samples, max_batch_size: int) -> int:
    """The largest batch that is quick enough for the event loop."""
    sizes = sorted({*(2**power for power in range(max_batch_size.bit_length())), max_batch_size})
    loop_batch_size = 0
    for size in sizes:
        rows = np.arange(size) % len(samples)
        inputs = {name: array[rows] for name, array in samples.inputs.items()}
        seconds = min(_seconds(runner, inputs) for _ in range(3))
        if seconds > (LOOP_S if loop_batch_size else _LOOP_SINGLE_S):
            break
        loop_batch_size = size
    return loop_batch_size


def _seconds(runner: Runner, inputs: dict[str, npt.NDArray[Any]]) -> float:
    started = time.perf_counter()
    runner.run(inputs)
    return time.perf_counter() - started
