"""Losses by name, and the user's own by import path; all are means over the samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mltool.core.errors import ConfigError
from mltool.modeling.config import LOSSES
from mltool.modeling.tasks.outputs import OutputKind, single_output
from mltool.modeling.user_code import call_user, import_object

# Axes: N samples, C classes

Loss = Callable[[Any, Tensor], Tensor]
"""Takes what the network answers, and the targets."""
NO_LOSS = "none"


def classification_loss(wanted: str, output_kind: OutputKind) -> tuple[Loss, str]:
    """The loss of `task.loss` for class codes, and its name.

    Raises:
        ConfigError: It does not fit classes, or not what the network answers.
    """
    own = _own_loss(wanted)
    if own is not None:
        return own, wanted
    # Right for logits and for log-probabilities alike: the kind is measured on a network that is not trained yet,
    # whose constant answers may look like either.
    name = "cross_entropy" if wanted == "auto" else wanted
    if name not in ("cross_entropy", "nll"):
        raise ConfigError(f"`task.loss={name}` does not fit classes", hint="use `cross_entropy` or `nll`")
    if output_kind == "probabilities":
        return _nll_of_probabilities, name
    if output_kind == "logits" and name == "nll":
        raise ConfigError(
            "`task.loss=nll` needs log-probabilities, but the network answers logits",
            hint="use `task.loss=cross_entropy`, or end the network in LogSoftmax",
        )
    return (_nll if name == "nll" else _cross_entropy), name


def regression_loss(wanted: str) -> tuple[Loss, str]:
    """The loss of `task.loss` for one number a sample, and its name.

    Raises:
        ConfigError: It does not fit numbers.
    """
    own, name = _own_loss(wanted), "mse" if wanted == "auto" else wanted
    if own is None and name not in _OF_TENSORS:
        raise ConfigError(f"`task.loss={name}` does not fit numbers", hint=f"use one of {', '.join(_OF_TENSORS)}")
    return own or _OF_TENSORS[name], name


def custom_loss(wanted: str) -> tuple[Loss, str]:
    """The loss of `task.loss` for tensors, and its name; without one the network can only be imported or saved.

    Raises:
        ConfigError: It does not fit tensors.
    """
    own = _own_loss(wanted)
    if own is not None:
        return own, wanted
    if wanted == "auto":
        return _no_loss, NO_LOSS
    named = {**_OF_TENSORS, "cross_entropy": F.cross_entropy}
    if wanted not in named:
        raise ConfigError(f"`task.loss={wanted}` does not fit tensors", hint=f"use one of {', '.join(named)}")
    return named[wanted], wanted


def _own_loss(wanted: str) -> Loss | None:
    if wanted in LOSSES:
        return None
    if ":" not in wanted:
        raise ConfigError(
            f"unknown loss `{wanted}`",
            hint=f"use one of {', '.join(LOSSES)}, or the import path of your own as `package.module:function`",
        )
    function = import_object(wanted, "task.loss")
    made = function() if isinstance(function, type) else function

    def loss(outputs: Any, target: Tensor) -> Tensor:
        value = call_user(made, "task.loss", outputs, target)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ConfigError(f"`task.loss={wanted}` must answer one number as a tensor")
        return value

    return loss


def _cross_entropy(outputs: Any, target_N: Tensor) -> Tensor:
    return F.cross_entropy(outputs if isinstance(outputs, Tensor) else single_output(outputs), target_N)


def _nll(outputs: Any, target_N: Tensor) -> Tensor:
    return F.nll_loss(outputs if isinstance(outputs, Tensor) else single_output(outputs), target_N)


def _nll_of_probabilities(outputs: Any, target_N: Tensor) -> Tensor:
    return F.nll_loss(single_output(outputs).clamp_min(1e-12).log(), target_N)


def _mse(outputs: Any, target: Tensor) -> Tensor:
    return F.mse_loss(_like(outputs, target), target)


def _l1(outputs: Any, target: Tensor) -> Tensor:
    return F.l1_loss(_like(outputs, target), target)


def _huber(outputs: Any, target: Tensor) -> Tensor:
    return F.huber_loss(_like(outputs, target), target)


_OF_TENSORS: dict[str, Loss] = {"mse": _mse, "l1": _l1, "huber": _huber}


def _like(outputs: Any, target: Tensor) -> Tensor:
    # [N, 1] against [N] would broadcast to [N, N] and train on nonsense.
    output = single_output(outputs)
    return output.reshape(target.shape) if output.numel() == target.numel() else output


def _no_loss(outputs: Any, target: Tensor) -> Tensor:
    raise ConfigError(
        "a custom task needs a loss", hint="give `task.loss=package.module:function`, or one of mse, l1, huber"
    )
