"""Running a model: numpy in and numpy out, whatever runs it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind, Manifest
from mltool.core.errors import ArtifactError, InputError
from mltool.core.version import version
from mltool.datasets.schema import TensorSpec
from mltool.runtimes.candidate import FLOAT, Candidate
from mltool.runtimes.config import GRAPH, backends

# Axes: N samples

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Signature:
    """The arrays that cross the graph; axis 0 of every one is the batch."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "inputs": [{**asdict(spec), "shape": list(spec.shape)} for spec in self.inputs],
            "outputs": [{**asdict(spec), "shape": list(spec.shape)} for spec in self.outputs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        def specs(key: str) -> tuple[TensorSpec, ...]:
            return tuple(TensorSpec(s["name"], s["dtype"], tuple(s["shape"])) for s in data[key])

        return cls(specs("inputs"), specs("outputs"))

    def checked(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """The inputs as contiguous arrays, if their names, dtypes, shapes and batch sizes fit.

        Raises:
            InputError: Names what differs.
        """
        names = [spec.name for spec in self.inputs]
        for name in inputs:
            if name not in names:
                close = difflib.get_close_matches(name, names, 1)
                known = f"did you mean `{close[0]}`?" if close else f"the model takes {', '.join(names)}"
                raise InputError(f"the model has no input `{name}`", hint=known)
        arrays: dict[str, npt.NDArray[Any]] = {}
        for spec in self.inputs:
            if spec.name not in inputs:
                raise InputError(f"the input `{spec.name}` is missing", hint=f"it is {spec.dtype} {_shape(spec)}")
            array = inputs[spec.name]
            if array.dtype != _dtype(spec.dtype) or not _fits(array.shape, spec.shape):
                found = f"{array.dtype} {list(array.shape)}"
                raise InputError(f"the input `{spec.name}` is {found}, but {spec.dtype} {_shape(spec)} is needed")
            arrays[spec.name] = np.ascontiguousarray(array)
        if len(arrays) > 1 and len({len(array) for array in arrays.values()}) > 1:
            sizes = {name: len(array) for name, array in arrays.items()}
            raise InputError(f"the inputs differ in their number of samples: {sizes}")
        return arrays


_dtype = cache(np.dtype)
"""Each call of a small model takes a few microseconds, and this would be one of them."""


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    # -1 is an axis whose size may vary, such as the length of a text.
    return len(shape) == len(wanted) + 1 and (
        shape[1:] == wanted or all(want in (-1, have) for have, want in zip(shape[1:], wanted, strict=True))
    )


def _shape(spec: TensorSpec) -> str:
    return "[" + ", ".join(["N", *("any" if size == -1 else str(size) for size in spec.shape)]) + "]"


class Runner(Protocol):
    """A loaded model; safe to call from one thread at a time."""

    signature: Signature

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Return the outputs for one batch of one or more samples; axis 0 of every array is the batch.

        Raises:
            InputError: A name, dtype or shape differs from the signature.
        """


DEFAULT_BACKEND = "onnxruntime"


def load(model: Artifact, backend: str | None = None, threads: int | None = None) -> Runner:
    """Load a model into a runtime.

    Args:
        backend: None takes the one that the model was compiled for.
        threads: CPU threads of one call; None takes those that the model was compiled for, else all cores.

    Raises:
        ConfigError: There is no such backend.
        ArtifactError: The model lacks what the backend needs.
    """
    try:
        signature = Signature.from_json(model.manifest.signature)
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"`{model.label}` has no usable signature: {error!r}") from error
    how = candidate_of(model, backend, threads)
    runner: Runner = backends.load(how.backend)(model, signature, how.threads or None)
    return runner


def candidate_of(model: Artifact, backend: str | None = None, threads: int | None = None) -> Candidate:
    """How `load` runs a model."""
    run = model.config.get("run", {})
    own = run.get("backend", DEFAULT_BACKEND)
    # Threads and options were measured for the model's own backend; another takes its usual ones.
    threads = threads or (run.get("threads") if backend in (None, own) else None)
    backend = backend or own
    return Candidate(backend, model.config.get("scheme", FLOAT), threads or 0, options_of(model, backend))


def graph_of(model: Artifact) -> Path:
    """The file that the graph of a model is in.

    Raises:
        ArtifactError: The model has none.
    """
    path = model.path / GRAPH
    if not path.is_file():
        raise ArtifactError(
            f"`{model.label}` has no graph: its export failed",
            hint=f"see why with `mltool models show {model.label}`, or run it with `backend=torch`",
        )
    return path


def options_of(model: Artifact, backend: str) -> Mapping[str, str]:
    """The options that a model was compiled with, if it was for this backend."""
    run = model.config.get("run", {})
    return dict(run.get("options", {})) if run.get("backend", DEFAULT_BACKEND) == backend else {}


def unfinished(folder: Path, signature: Signature, run: Mapping[str, Any]) -> Artifact:
    """A model that is still being made, as a runtime takes it."""
    manifest = Manifest(
        ArtifactKind.model,
        digest="",
        created_utc="",
        mltool_version=version(),
        config={"run": run},
        signature=signature.to_json(),
    )
    return Artifact(folder, manifest, ref=folder.name)


def run_batches(runner: Runner, inputs: Arrays, batch_size: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The outputs of many samples, `batch_size` at a time."""
    num_samples = len(next(iter(inputs.values())))
    for start in range(0, num_samples, batch_size):
        yield runner.run({name: array[start : start + batch_size] for name, array in inputs.items()})


def run_all(runner: Runner, inputs: Arrays, batch_size: int) -> dict[str, npt.NDArray[Any]]:
    """The outputs of many samples as whole arrays."""
    outputs = Whole(len(next(iter(inputs.values()))))
    for index, batch in enumerate(run_batches(runner, inputs, batch_size)):
        outputs.write(index * batch_size, batch)
    return outputs.arrays


class Whole:
    """The outputs of many samples, written into place batch by batch.

    A list of small parts would keep the heap from shrinking: each part lies between large arrays that come and go.
    """

    def __init__(self, num_samples: int) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self._num_samples = num_samples

    def write(self, start: int, outputs: Arrays) -> None:
        for name, part in outputs.items():
            if name not in self.arrays:
                self.arrays[name] = np.empty((self._num_samples, *part.shape[1:]), part.dtype)
            self.arrays[name][start : start + len(part)] = part
