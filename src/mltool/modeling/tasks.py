"""What a network is trained for: its loss, its metrics, and the named outputs that its graph gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mltool.core.errors import ConfigError
from mltool.datasets.schema import Schema
from mltool.modeling.config import LOSSES, TaskConfig
from mltool.modeling.network import evaluating, outputs_by_name
from mltool.modeling.user_code import call_user, import_object, user_code
from mltool.runtimes.measure import metrics_of
from mltool.statistics.metrics import MAIN_METRIC

# Axes: N samples, C classes

OutputKind = Literal["logits", "log_probabilities", "probabilities", "prediction", "custom"]
Loss = Callable[[Any, Tensor], Tensor]
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Task:
    """A task with everything measured that it depends on.

    Attributes:
        loss: Mean over the samples; its arguments are what the network answers and the targets.
        output_kind: What the network answers, measured on real samples.
        metric: The user's own metric, on numpy arrays; higher is better.
    """

    kind: str
    loss: Loss
    loss_name: str
    output_kind: OutputKind
    main_metric: str
    metric: Callable[[Any, Any], Any] | None = None

    def head(self, target_scale: tuple[float, float]) -> nn.Module:
        """The last module of the graph: what the network answers, as named outputs."""
        if self.kind == "classification":
            return ClassificationHead(self.output_kind)
        return RegressionHead(*target_scale) if self.kind == "regression" else CustomHead()

    def metrics(self, outputs: Mapping[str, np.ndarray], target_N: np.ndarray) -> dict[str, float]:
        """Metrics of the graph's outputs."""
        return task_metrics(self.kind, outputs, target_N, self.metric)


def task_metrics(
    kind: str, outputs: Mapping[str, np.ndarray], target_N: np.ndarray, metric: Callable[[Any, Any], Any] | None
) -> dict[str, float]:
    """Metrics of a graph's outputs by task; a custom task has those of its own metric only."""
    if kind != "custom":
        return metrics_of(outputs, target_N)
    if metric is None:
        return {}
    answer = next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
    value = call_user(metric, "task.metric", answer, target_N)
    with user_code("`task.metric` answered no number, and"):
        return {"metric": float(value)}


def make_task(config: TaskConfig, schema: Schema, outputs: Any) -> Task:
    """Decide the task from the target, and its loss from what the network answered for real samples.

    Args:
        outputs: What the network answers in evaluation mode for some training samples.

    Raises:
        ConfigError: The outputs do not fit the targets, or the loss does not fit the task.
    """
    kind = config.kind if config.kind != "auto" else _KIND_BY_TARGET[schema.target.kind]
    if kind == "classification" and schema.target.kind != "class":
        raise ConfigError(f"`task.kind=classification` needs classes, but `{schema.target.name}` holds numbers")
    if kind == "regression" and schema.target.kind != "number":
        raise ConfigError(f"`task.kind=regression` needs numbers, but `{schema.target.name}` is a {schema.target.kind}")
    if config.metric is not None and kind != "custom":
        raise ConfigError(
            f"`task.metric` is for custom tasks, but this is a {kind}", hint="leave it out, or use `task.kind=custom`"
        )
    if kind == "custom":
        metric = import_object(config.metric, "task.metric") if config.metric else None
        return Task(kind, *_custom_loss(config), "custom", "metric" if metric else "loss", metric)
    if kind == "classification":
        return _classification(config, schema, outputs)
    return _regression(config, outputs)


def check_same_output_kind(task: Task, network: nn.Module, inputs: Sequence[Tensor]) -> None:
    """The loss is chosen for what the network answers in evaluation mode, so it must answer the same in training.

    Args:
        inputs: Some prepared samples; neither buffers nor random numbers are used up.

    Raises:
        ConfigError: It answers something else in training mode, such as a softmax in one of the two only.
    """
    if task.kind != "classification" or task.loss_name not in LOSSES:  # the user's own loss may want that
        return
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with evaluating(network), torch.random.fork_rng(devices=()), torch.no_grad(), user_code("the network's forward"):
        outputs = torch.func.functional_call(network.train(), buffers, tuple(inputs))
    kind = measure_output_kind(single_output(outputs))
    if kind != task.output_kind:
        raise ConfigError(
            f"the network answers {_words(kind)} in training mode, but {_words(task.output_kind)} in evaluation mode",
            hint="answer the same in both, such as logits: the graph gets its own softmax",
        )


def _words(kind: OutputKind) -> str:
    return kind.replace("_", "-")


_KIND_BY_TARGET = {"class": "classification", "number": "regression", "tensor": "custom"}


def _classification(config: TaskConfig, schema: Schema, outputs: Any) -> Task:
    output_NC = single_output(outputs)
    num_classes = len(schema.target.classes)
    if output_NC.dim() != 2 or output_NC.shape[1] != num_classes:
        raise ConfigError(
            f"the network answers {_shape(output_NC)}, but `{schema.target.name}` has {num_classes} classes, "
            f"so [N, {num_classes}] is needed",
            hint="change the network's last layer, or name the labels with `data.label` or `data.fields.labels`",
        )
    output_kind = measure_output_kind(output_NC)
    names = {"auto": "nll" if output_kind == "log_probabilities" else "cross_entropy"}
    name = names.get(config.loss, config.loss)
    own = _own_loss(config)
    if own is None and name not in ("cross_entropy", "nll"):
        raise ConfigError(f"`task.loss={name}` does not fit classes", hint="use `cross_entropy` or `nll`")
    losses: dict[str, Loss] = {"cross_entropy": _cross_entropy, "nll": _nll}
    if output_kind == "probabilities":
        losses = dict.fromkeys(losses, _nll_of_probabilities)
    elif output_kind == "logits" and name == "nll":
        raise ConfigError(
            "`task.loss=nll` needs log-probabilities, but the network answers logits",
            hint="use `task.loss=cross_entropy`, or end the network in LogSoftmax",
        )
    return Task("classification", own or losses[name], name, output_kind, MAIN_METRIC["classification"])


def _regression(config: TaskConfig, outputs: Any) -> Task:
    output = single_output(outputs)
    if output.dim() not in (1, 2) or (output.dim() == 2 and output.shape[1] != 1):
        raise ConfigError(
            f"the network answers {_shape(output)}, but one number a sample, [N] or [N, 1], is needed",
            hint="change the network's last layer, or use `task.kind=custom` with a `task.loss`",
        )
    name = "mse" if config.loss == "auto" else config.loss
    own = _own_loss(config)
    losses: dict[str, Loss] = {"mse": _mse, "l1": _l1, "huber": _huber}
    if own is None and name not in losses:
        raise ConfigError(f"`task.loss={name}` does not fit numbers", hint=f"use one of {', '.join(losses)}")
    return Task("regression", own or losses[name], name, "prediction", MAIN_METRIC["regression"])


def _custom_loss(config: TaskConfig) -> tuple[Loss, str]:
    own = _own_loss(config)
    if own is not None:
        return own, config.loss
    named: dict[str, Loss] = {"mse": _mse, "l1": _l1, "huber": _huber, "cross_entropy": F.cross_entropy}
    if config.loss == "auto":
        return _no_loss, "none"
    if config.loss not in named:
        raise ConfigError(f"`task.loss={config.loss}` does not fit tensors", hint=f"use one of {', '.join(named)}")
    return named[config.loss], config.loss


def _no_loss(outputs: Any, target: Tensor) -> Tensor:
    """What a custom task has that is only imported or saved."""
    raise ConfigError(
        "a custom task needs a loss", hint="give `task.loss=package.module:function`, or one of mse, l1, huber"
    )


def _own_loss(config: TaskConfig) -> Loss | None:
    if config.loss in LOSSES:
        return None
    if ":" not in config.loss:
        raise ConfigError(
            f"unknown loss `{config.loss}`",
            hint=f"use one of {', '.join(LOSSES)}, or the import path of your own as `package.module:function`",
        )
    function = import_object(config.loss, "task.loss")
    made = function() if isinstance(function, type) else function

    def loss(outputs: Any, target: Tensor) -> Tensor:
        value = call_user(made, "task.loss", outputs, target)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ConfigError(f"`task.loss={config.loss}` must answer one number as a tensor")
        return value

    return loss


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


def _shape(tensor: Tensor) -> str:
    return "[" + ", ".join(["N", *(str(size) for size in tensor.shape[1:])]) + "]"


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


def _like(outputs: Any, target: Tensor) -> Tensor:
    # [N, 1] against [N] would broadcast to [N, N] and train on nonsense.
    output = single_output(outputs)
    return output.reshape(target.shape) if output.numel() == target.numel() else output


class ClassificationHead(nn.Module):
    """`logits` and `probabilities` [N,C], right for all three kinds of output."""

    def __init__(self, output_kind: OutputKind) -> None:
        super().__init__()
        self.output_kind = output_kind

    def forward(self, outputs: Any) -> dict[str, Tensor]:
        output_NC = single_output(outputs).float()
        if self.output_kind == "probabilities":
            return {"logits": output_NC.clamp_min(1e-12).log(), "probabilities": output_NC}
        return {"logits": output_NC, "probabilities": torch.softmax(output_NC, dim=1)}


class RegressionHead(nn.Module):
    """`prediction` [N], in the unit of the target."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, outputs: Any) -> dict[str, Tensor]:
        output_N = single_output(outputs).float()
        output_N = output_N.squeeze(1) if output_N.dim() == 2 else output_N
        return {"prediction": output_N * self.std + self.mean}


class CustomHead(nn.Module):
    """Whatever the network answers, under its own names."""

    def forward(self, outputs: Any) -> dict[str, Tensor]:
        return outputs_by_name(outputs)
