"""Answer for records; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mltool.artifacts.artifact import Artifact
from mltool.core import events
from mltool.core.errors import ConfigError
from mltool.datasets.encoder import Encoder, check_array, check_nothing_missing
from mltool.datasets.records_file import read_records
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
    check_nothing_missing(schema, inputs)
    num_samples = len(next(iter(inputs.values())))
    runner, encoder = load(model, job.backend, job.threads), Encoder(schema)
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
    if isinstance(records, Mapping) and all(isinstance(value, np.ndarray) for value in records.values()):
        specs = {spec.name: spec for spec in schema.inputs}
        return {name: check_array(array, specs[name]) if name in specs else array for name, array in records.items()}
    if hasattr(records, "__array__"):  # numpy, or a tensor
        return {schema.inputs[0].name: check_array(np.asarray(records), schema.inputs[0])}
    if isinstance(records, Mapping):
        return Encoder(schema).encode([records])
    if isinstance(records, Sequence):
        return Encoder(schema).encode(records)
    raise ConfigError(f"a `{type(records).__name__}` cannot be predicted", hint="give dictionaries, an array or a file")
