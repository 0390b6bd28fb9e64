"""The rows that a model is tried on: some whose labels are known, and some that stand for what `drift` remembers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import ArtifactError, DataError
from mltool.datasets.schema import schema_of
from mltool.runtimes.evaluation import dataset_of
from mltool.runtimes.measure import is_finite
from mltool.runtimes.runner import Runner, run_all
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.serving.recording import kept_inputs
from mltool.stages.monitor.config import MonitorConfig
from mltool.stages.monitor.noticing import Watch
from mltool.stages.monitor.watched import REFERENCE, Watched, watched
from mltool.statistics.drift import MIN_REFERENCE_ROWS
from mltool.statistics.reference import Reference

# Axes: N samples

Arrays = Mapping[str, npt.NDArray[Any]]
_MAX_ROW_BYTES = 128 << 20
"""Of the rows that are measured; of larger ones, fewer are taken."""
_MAX_REFERENCE_ROWS = 1_000
"""As many as `drift` needs for windows of up to 200 requests."""


@dataclass(frozen=True, slots=True)
class Material:
    """Rows without damage, by the names of the model's inputs: those to measure, then those of the reference.

    Attributes:
        split: Where the rows to measure are from.
        outputs: What the model answers to all of them.
        num_measured: The first so many are measured, the others tell how values usually spread.
        target_N: What is true of those that are measured, if that is known.
        known: What `drift` holds windows against; None if the model has too little of a reference.
        recorded: The inputs that a deployment keeps, so that `drift` sees them; all outputs are kept.
        is_reference_apart: Whether no row is both among the measured ones and in the reference.
    """

    split: str
    inputs: Arrays
    outputs: Arrays
    num_measured: int
    target_N: npt.NDArray[Any] | None
    known: Watched | None
    recorded: tuple[str, ...]
    is_reference_apart: bool

    @property
    def usual(self) -> Arrays:
        """Rows that tell how values usually spread."""
        return self.part(self.inputs, slice(self.num_measured, None)) if self.known is not None else self.inputs

    def measured(self, arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
        """The part of arrays as long as `inputs` that is measured."""
        return self.part(arrays, slice(self.num_measured))

    def window_of(
        self, inputs: Arrays, outputs: Arrays
    ) -> tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[Any]]]:
        """The part that windows are drawn from, and of it what is recorded, by the names that `drift` knows."""
        recorded = {name: inputs[name] for name in self.recorded}
        return self._by_known_names(recorded), self.part(outputs, self._windowed)

    @property
    def _windowed(self) -> slice:
        return slice(0 if self.is_reference_apart else self.num_measured, None)

    def _by_known_names(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        own = self.part(inputs, self._windowed)
        return self.known.renamed(own) if self.known is not None else own

    @staticmethod
    def part(arrays: Arrays, rows: slice) -> dict[str, npt.NDArray[Any]]:
        return {name: array[rows] for name, array in arrays.items()}

    def watch(self, config: MonitorConfig) -> Watch | None:
        """Windows of these rows, if there are enough of them."""
        if self.known is None:
            return None
        rows, outputs = self._by_known_names(self.inputs), self.part(self.outputs, self._windowed)
        num_all, num_reference = (len(next(iter(arrays.values()))) for arrays in (rows, self.usual))
        # Where the reference is all there is, half of it stands for the whole.
        num_kept = num_reference if self.is_reference_apart else max(MIN_REFERENCE_ROWS, num_reference // 2)
        watch = Watch(
            dataclasses.replace(self.known.reference, rows=rows, outputs=outputs),
            num_kept,
            config.windows,
            redraws=config.redraws,
            alpha=config.alpha,
            seed=config.seed,
        )
        if watch.sizes:
            return watch
        events.warning(f"{num_all} rows are too few to draw windows from: it is not known when `drift` would notice")
        return None


def material_of(model: Artifact, runner: Runner, store: Store, config: MonitorConfig) -> Material:
    """Gather the rows and the answers to them.

    Raises:
        ArtifactError: The samples or the reference of the model are damaged.
        DataError: There are no rows, or the answers are not finite.
    """
    split, inputs, target_N = _measured(model, runner, store, config.max_rows)
    num_measured = len(next(iter(inputs.values())))
    if not num_measured:
        raise DataError(f"the {split} split of `{model.label}` has no rows")
    if target_N is None:
        events.info(f"`{model.label}` has no labels: measured is how many answers change, not how many become wrong")
    names = tuple(spec.name for spec in runner.signature.inputs)
    recorded = kept_inputs(runner.signature, config.record)
    known = _known(model, runner, config.batch_size)
    if known is not None:
        rows = known.rows
        num_rows = len(next(iter(rows.values())))
        taken = np.linspace(0, num_rows - 1, min(num_rows, _MAX_REFERENCE_ROWS)).round().astype(np.int64)
        inputs = {name: np.concatenate([array, rows[name][taken]]) for name, array in inputs.items()}
    outputs = run_all(runner, inputs, config.batch_size)
    if not is_finite(outputs):
        raise DataError(f"`{model.label}` gives answers that are not finite, so it cannot be measured")
    return Material(
        split=split,
        inputs=inputs,
        outputs=outputs,
        num_measured=num_measured,
        target_N=target_N,
        known=known,
        recorded=names if recorded is None else recorded,
        is_reference_apart=known is not None and known.reference.row_split != _metrics_split(model),
    )


def _metrics_split(model: Artifact) -> str:
    return str(model.manifest.facts.get("metrics_split", "samples"))


def _measured(
    model: Artifact, runner: Runner, store: Store, at_most: int
) -> tuple[str, Arrays, npt.NDArray[Any] | None]:
    """Rows of the split that the metrics of the model are of; without its dataset, the samples that it carries."""
    samples, split = Samples.load(model.path / SAMPLES), _metrics_split(model)
    if not samples.inputs:
        raise DataError(f"`{model.label}` carries no samples")
    try:
        columns = dataset_of(model, store).split(split)
    except ArtifactError as error:
        if split != "samples":
            events.info(f"{error.message}: the {len(samples)} samples that the model carries are taken")
        return "samples", samples.inputs, samples.target
    row_bytes = sum(array[:1].nbytes for array in columns.inputs.values())
    num_rows = min(len(columns), at_most, max(len(samples), _MAX_ROW_BYTES // max(row_bytes, 1)))
    taken, target_N = columns.take(np.linspace(0, len(columns) - 1, num_rows).round().astype(np.int64))
    # The dataset knows its inputs by the names of its columns, the model by those of its graph.
    inputs = dict(zip((spec.name for spec in runner.signature.inputs), taken.values(), strict=True))
    return split, inputs, target_N if samples.target is not None else None


def _known(model: Artifact, runner: Runner, batch_size: int) -> Watched | None:
    """What `drift` holds windows of this model against, if it has enough of a reference."""
    folder = model.path / REFERENCE
    if not folder.is_dir():
        events.warning(f"`{model.label}` carries no reference, so it is not known when `drift` would notice")
        return None
    num_rows = min((len(array) for array in Reference.load(folder).rows.values()), default=0)
    if num_rows < MIN_REFERENCE_ROWS:
        events.warning(
            f"the reference of `{model.label}` keeps only {num_rows} rows: it is not known when `drift` would notice"
        )
        return None
    return watched(model, schema_of(model), runner, batch_size)
