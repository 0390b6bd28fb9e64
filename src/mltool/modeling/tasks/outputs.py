"""What a network answers: which tensors, and of what kind."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from mltool.core.errors import ConfigError

# Axes: N samples, C classes

OutputKind = Literal["logits", "log_probabilities", "probabilities", "prediction", "custom"]
_SUM_TOLERANCE = 1e-3


def outputs_by_name(outputs: Any) -> dict[str, Tensor]:
    """The tensors that a network answers: one is called `output`, several keep their keys or are counted.

    Raises:
        ConfigError: They are no tensors.
    """
    if isinstance(outputs, Tensor):
        return {"output": outputs}
    named = outputs
    if isinstance(outputs, tuple | list):
        names = getattr(outputs, "_fields", None) or [f"output_{i}" for i in range(len(outputs))]
        named = dict(zip(names if len(outputs) != 1 else ["output"], outputs, strict=True))
    if isinstance(named, dict) and named and all(isinstance(value, Tensor) for value in named.values()):
        return {str(name): value for name, value in named.items()}
    raise ConfigError(f"the network answers a `{type(outputs).__name__}`, but tensors are needed")


def single_output(outputs: Any) -> Tensor:
    """The one tensor a network answers.

    Raises:
        ConfigError: It answers several.
    """
    named = outputs_by_name(outputs)
    if len(named) > 1:
        raise ConfigError(
            f"the network answers {len(named)} tensors ({', '.join(named)}), but this task needs one",
            hint="use `task.kind=custom` with a `task.loss`",
        )
    return next(iter(named.values()))


def measure_output_kind(output_NC: Tensor) -> OutputKind:
    """Whether rows are probabilities, their logarithms, or neither; decided on every row."""
    output_NC = output_NC.detach().double()
    if not bool(torch.isfinite(output_NC).any()):
        return "logits"
    if bool((output_NC >= 0).all()) and bool(((output_NC.sum(1) - 1).abs() < _SUM_TOLERANCE).all()):
        return "probabilities"
    if bool((output_NC <= 1e-6).all()) and bool(((output_NC.exp().sum(1) - 1).abs() < _SUM_TOLERANCE).all()):
        return "log_probabilities"
    return "logits"


def shape_of(tensor: Tensor) -> str:
    return "[" + ", ".join(["N", *(str(size) for size in tensor.shape[1:])]) + "]"
