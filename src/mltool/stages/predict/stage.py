"""Answer for records; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mltool.artifacts.artifact import Artifact
from mltool.core import events
from mltool.core.errors import ConfigError, InputError
from mltool.datasets.array_checks import check_finite, checked_arrays
from mltool.datasets.encoder import Encoder
from mltool.datasets.records_file import encode_objects, read_records
from mltool.datasets.schema import Schema, schema_of
from mltool.runtimes.runner import load, run_batches
from mltool.stages.predict.config import PredictJob


def predict(model: Artifact, job: PredictJob, records: Any) -> Iterator[dict[str, Any]]:
    """The answers of a model, one dictionary a record.

    Args:
        records: Dictionaries, arrays by input name, or one array; None reads `job.input`.

    Raises:
        InputError: A record does not fit the model.
    """
    schema = schema_of(model)
    inputs = _arrays(schema, job, records)
    check_finite(inputs, schema)
    num_samples = len(next(iter(inputs.values())))
    runner, encoder = load(model, None if job.backend == "auto" else job.backend, job.threads), Encoder(schema)
    with events.track("predict", num_samples, "samples") as bar:
        for outputs in run_batches(runner, inputs, job.batch_size):
            answers = encoder.decode(outputs)
            yield from answers
            bar.advance(len(answers))


def _arrays(schema: Schema, job: PredictJob, records: Any) -> Mapping[str, np.ndarray]:
    if records is None:
        if job.input is None:
            raise ConfigError("there is nothing to predict", hint="give `input=FILE`, or `input=-` for standard input")
        return read_records(job.input, schema).arrays
    if isinstance(records, Mapping) and records and all(_is_array(value) for value in records.values()):
        return checked_arrays({name: _array(value) for name, value in records.items()}, schema)
    if _is_array(records):
        if len(schema.inputs) != 1:
            taken = ", ".join(f"`{spec.name}`" for spec in schema.inputs)
            raise InputError(f"one array is given, but the model takes {taken}", hint="give them by name")
        array, spec = _array(records), schema.inputs[0]
        return checked_arrays({spec.name: array[np.newaxis] if array.shape == spec.shape else array}, schema)
    if isinstance(records, Mapping):
        records = [records]
    if isinstance(records, Sequence) and not isinstance(records, bytes | bytearray):
        return encode_objects(records, schema) if len(records) else Encoder(schema).encode([])
    raise ConfigError(f"a `{type(records).__name__}` cannot be predicted", hint="give dictionaries, an array or a file")


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) > 0


def _array(value: Any) -> np.ndarray:
    """A numpy array, or a tensor of any kind, as an array."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
