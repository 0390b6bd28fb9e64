"""Make a verified model of a module in memory."""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.references import check_name
from mltool.artifacts.store import Store
from mltool.core.errors import ConfigError, MltoolError
from mltool.datasets.classes import check_distinct
from mltool.datasets.columns import Columns
from mltool.datasets.readers.arrays import is_one_hot
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.modeling import preprocess as preprocessing
from mltool.modeling.config import ModelConfig, TaskConfig
from mltool.modeling.network import PROBE_ROWS, answer_of, evaluating
from mltool.modeling.packaging.made import Made
from mltool.modeling.packaging.network_form import NetworkForm
from mltool.modeling.packaging.package import package
from mltool.modeling.rebuild.recipe import recipe
from mltool.modeling.sources.names import project_name
from mltool.modeling.tasks.outputs import outputs_by_name
from mltool.modeling.tasks.task import make_task
from mltool.modeling.tensor_files import as_array
from mltool.modeling.user_code import import_object

# Axes: N samples


def save(
    module: nn.Module,
    sample_inputs: Any,
    sample_labels: Any,
    *,
    name: str | None,
    classes: Sequence[str] | None,
    store: Store,
) -> Artifact:
    """Export, verify and store a module with the samples that its author gives.

    Raises:
        CheckError: The export or another check failed; the model is kept without a name.
        ConfigError: The samples do not fit the module.
    """
    if not isinstance(module, nn.Module):
        raise ConfigError(f"`mltool.save` needs an `nn.Module`, not a `{type(module).__name__}`")
    classes = None if classes is None else [str(name) for name in classes]
    if classes is not None:
        check_distinct(classes, "classes")
    inputs = _named(module, sample_inputs)
    labels = None if sample_labels is None else _array(sample_labels, "sample_labels", "biufU")
    _check_lengths(inputs, labels)
    if any(tensor.device.type != "cpu" for tensor in (*module.parameters(), *module.buffers())):
        module = copy.deepcopy(module).cpu()  # where the graph is made; the script's own stays where it is
    probed = [torch.from_numpy(np.array(array[:PROBE_ROWS])) for array in inputs.values()]
    with evaluating(module):
        answer = answer_of(module, probed)
        schema, columns = _columns(inputs, labels, classes, _width(answer))
        task = make_task(TaskConfig(), schema, answer)
        modules: list[nn.Module] = [preprocessing.Identity() for _ in schema.inputs]
        config = ModelConfig(target=_import_path(module))
        made = Made(
            form=NetworkForm(module, modules, task),
            task=task,
            schema=schema,
            splits={"samples": columns},
            is_labelled=labels is not None,
            config={"name": name, "model": {"target": config.target}},
            rebuild=recipe(config, {}, schema, task) if config.target else {},
            facts={"made_by": "save"},
        )
        return package(made, check_name(name or project_name()), store)


def _named(module: nn.Module, sample_inputs: Any) -> dict[str, np.ndarray]:
    """The samples by the names of the module's forward, in its order."""
    names = [name for name, p in inspect.signature(module.forward).parameters.items() if p.kind < p.VAR_POSITIONAL]
    if isinstance(sample_inputs, Mapping):
        for key in sample_inputs:
            if names and key not in names:
                close = difflib.get_close_matches(str(key), names, 1)
                known = f"did you mean `{close[0]}`?" if close else f"it takes {', '.join(names)}"
                raise ConfigError(f"the module's forward takes no `{key}`", hint=known)
        ordered = [name for name in names if name in sample_inputs] or list(sample_inputs)
        if skipped := [name for name in names[: len(ordered)] if name not in sample_inputs]:
            raise ConfigError(f"`sample_inputs` has no `{skipped[0]}`, which the module's forward takes")
        return {str(key): _array(sample_inputs[key], f"sample_inputs[{key!r}]", "biuf") for key in ordered}
    values = sample_inputs if isinstance(sample_inputs, tuple | list) else [sample_inputs]
    names += [f"input_{i}" for i in range(len(names), len(values))]
    return {key: _array(value, "sample_inputs", "biuf") for key, value in zip(names, values, strict=False)}


def _array(value: Any, what: str, kinds: str) -> np.ndarray:
    try:
        array = as_array(value) if isinstance(value, Tensor) else np.asarray(value)
    except ValueError as error:  # a data set, or samples of different shapes
        raise ConfigError(
            f"`{what}` must be one tensor or array, not `{type(value).__name__}`: {error}",
            hint="stack the samples, such as `torch.stack([x for x, _ in dataset])`",
        ) from error
    if array.dtype.kind not in kinds or array.ndim == 0 or not len(array):
        raise ConfigError(
            f"`{what}` must be a tensor or an array with one sample or more, not `{type(value).__name__}`"
        )
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _check_lengths(inputs: Mapping[str, np.ndarray], labels: np.ndarray | None) -> None:
    lengths = {key: len(array) for key, array in inputs.items()}
    if len({*lengths.values(), *([] if labels is None else [len(labels)])}) > 1:
        raise ConfigError(f"the samples differ in number: {lengths}, labels {None if labels is None else len(labels)}")


def _width(answer: Any) -> int:
    """The columns of the one table that a module answers, else 0."""
    outputs = list(outputs_by_name(answer).values())
    return outputs[0].shape[1] if len(outputs) == 1 and outputs[0].dim() == 2 else 0


def _columns(
    inputs: Mapping[str, np.ndarray], labels: np.ndarray | None, classes: Sequence[str] | None, width: int
) -> tuple[Schema, Columns]:
    """The samples as columns, exactly as they were given: the module knows what it expects."""
    num_samples = len(next(iter(inputs.values())))
    target, target_N = Target("output", "tensor"), np.zeros(num_samples, dtype=np.float32)
    if labels is not None:
        target, target_N = _target(labels, classes, width)
    elif classes is not None:
        target, target_N = Target("label", "class", tuple(classes)), np.zeros(num_samples, dtype=np.int64)
    schema = Schema(
        columns=tuple(Column(key, "tensor") for key in inputs),
        inputs=tuple(TensorSpec(key, str(array.dtype), array.shape[1:]) for key, array in inputs.items()),
        target=target,
    )
    return schema, Columns(dict(inputs), target_N)


def _target(labels: np.ndarray, classes: Sequence[str] | None, width: int) -> tuple[Target, np.ndarray]:
    """What the labels are; codes without names are counted by the module's outputs, as some classes may be absent."""
    if labels.dtype.kind == "U":
        return _target_of_names(labels, classes)
    if labels.ndim == 2 and labels.shape[1] == width and is_one_hot(labels):
        labels = labels.argmax(axis=1)
    if labels.dtype.kind in "biu" and labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind in "biu" and labels.ndim == 1:
        codes_N = labels.astype(np.int64)
        named = tuple(classes or (str(code) for code in range(max(width, int(codes_N.max()) + 1))))
        if codes_N.min() < 0 or codes_N.max() >= len(named):
            raise ConfigError(
                f"`sample_labels` goes from {codes_N.min()} to {codes_N.max()}, but there are {len(named)} classes"
            )
        return Target("label", "class", named), codes_N
    if labels.dtype.kind == "f" and labels.ndim <= 2 and labels.size == len(labels):
        return Target("label", "number"), labels.reshape(-1)
    return Target("label", "tensor"), labels


def _target_of_names(labels: np.ndarray, classes: Sequence[str] | None) -> tuple[Target, np.ndarray]:
    if classes is None or labels.ndim != 1:
        raise ConfigError(
            "`sample_labels` holds names, but not what the module's outputs stand for",
            hint="give `classes=[...]` in the order of the module's outputs",
        )
    for label in labels:
        if label not in classes:
            raise ConfigError(f"`sample_labels` holds `{label}`, which is none of `classes`")
    codes_N = np.array([list(classes).index(label) for label in labels], dtype=np.int64)
    return Target("label", "class", tuple(classes)), codes_N


def _import_path(module: nn.Module) -> str | None:
    """Where the class can be imported from, if it takes no arguments; a script's own classes cannot be."""
    kind = type(module)
    if kind.__module__ in ("__main__", "builtins") or kind.__module__.startswith("torch.") or "<" in kind.__qualname__:
        return None
    path = f"{kind.__module__}:{kind.__qualname__}"
    try:
        inspect.signature(kind).bind()
        return path if import_object(path, "model.target") is kind else None
    except (TypeError, ValueError, MltoolError):
        return None
