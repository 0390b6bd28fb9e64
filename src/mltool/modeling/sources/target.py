"""Data from the user's own code: a callable that returns `torch.utils.data.Dataset`s."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from mltool.core import events
from mltool.core.errors import ConfigError, DataError
from mltool.datasets.config import DataConfig, check_knobs
from mltool.datasets.readers import arrays
from mltool.datasets.source import Source
from mltool.modeling.tensor_files import as_array
from mltool.modeling.user_code import import_object, user_code

_SPLITS = {1: ("",), 2: ("train_", "test_"), 3: ("train_", "validation_", "test_")}


def read(config: DataConfig) -> Source:
    """Call `data.target` and read the samples of the one to three datasets that it returns.

    Two datasets are train and test; three are train, validation and test; a dictionary names its splits.

    Raises:
        ConfigError: The callable does not return datasets.
        DataError: A sample is no pair of tensors, or samples differ in shape.
        UserCodeError: The user's code raises.
    """
    check_knobs(config, (*arrays.KNOBS, "target", "args"), "`data.target`")
    if config.source != DataConfig().source:
        raise ConfigError(
            f"`data.source={config.source}` and `data.target={config.target}` both say where the data is",
            hint="leave one of them out",
        )
    made_by = import_object(config.target or "", "data.target")
    with user_code(f"`{config.target}`"):
        made = made_by(**config.args) if callable(made_by) else made_by
    parts = made if isinstance(made, tuple | list) else [made]
    if isinstance(made, Mapping):
        parts, prefixes = list(made.values()), tuple(f"{name}_" for name in made)
    else:
        prefixes = _SPLITS.get(len(parts), ())
    if not prefixes or not all(hasattr(part, "__getitem__") and hasattr(part, "__len__") for part in parts):
        raise ConfigError(
            f"`data.target={config.target}` returns a `{type(made).__name__}`, but one to three datasets are needed",
            hint="return one `torch.utils.data.Dataset`, or train and test, or train, validation and test",
        )
    named: dict[str, np.ndarray] = {}
    for prefix, part in zip(prefixes, parts, strict=True):
        named |= {f"{prefix}{name}": array for name, array in _stacked(part, config.target or "").items()}
    return arrays.understand(named, dataclasses.replace(config, source=config.target or ""))


def _stacked(dataset: Any, path: str) -> dict[str, np.ndarray]:
    """All samples of a dataset as whole arrays; a TensorDataset is taken as it is."""
    tensors = getattr(dataset, "tensors", None)
    if isinstance(tensors, tuple) and len(tensors) == 2 and all(isinstance(t, Tensor) for t in tensors):
        return {"inputs": as_array(tensors[0]), "labels": as_array(tensors[1])}
    if len(dataset) and not _is_steady(dataset, path):
        events.warning(
            f"`{path}` gives sample 0 differently each time; every sample is read once, so a random augmentation is "
            "frozen: put it into the network's forward, under `if self.training`"
        )
    inputs, labels = [], []
    with events.track(f"read {path}", len(dataset), "samples") as bar:
        for index in range(len(dataset)):
            with user_code(f"sample {index} of `{path}`"):
                sample = dataset[index]
            if not isinstance(sample, tuple | list) or len(sample) != 2:
                raise DataError(
                    f"sample {index} of `{path}` is a `{type(sample).__name__}`, but (input, label) is needed"
                )
            inputs.append(_array(sample[0], index, path))
            labels.append(_array(sample[1], index, path))
            bar.advance(1)
    return {"inputs": _stack(inputs, path, "input"), "labels": _stack(labels, path, "label")}


def _is_steady(dataset: Any, path: str) -> bool:
    """Whether a sample is the same when it is read again."""
    with user_code(f"sample 0 of `{path}`"):
        samples = [dataset[0], dataset[0]]
    if not all(isinstance(sample, tuple | list) and len(sample) == 2 for sample in samples):
        return True  # whatever is wrong with it is said where it is read
    first, again = (_array(sample[0], 0, path) for sample in samples)
    return first.shape == again.shape and np.array_equal(first, again, equal_nan=first.dtype.kind == "f")


def _array(value: Any, index: int, path: str) -> np.ndarray:
    if isinstance(value, Tensor):
        return as_array(value)
    if isinstance(value, int | float | bool | np.ndarray | np.generic | list):
        return np.asarray(value)
    try:  # a picture that no transform has made a tensor of
        return np.asarray(value, dtype=np.uint8)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"sample {index} of `{path}` holds a `{type(value).__name__}`, but tensors are needed"
        ) from error


def _stack(parts: Iterable[np.ndarray], path: str, what: str) -> np.ndarray:
    parts = list(parts)
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        examples = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
        raise DataError(
            f"`{path}` gives {what}s of different shapes, such as {examples}",
            hint="bring them to one shape in the dataset",
        )
    if not parts:
        raise DataError(f"`{path}` gives a dataset without samples")
    return np.stack(parts)
