"""What a network is trained for: its loss, its metrics, and the named outputs that its graph gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mltool.core.errors import ConfigError
from mltool.datasets.schema import Schema
from mltool.modeling.config import LOSSES, TaskConfig
from mltool.modeling.network import evaluating
from mltool.modeling.tasks.heads import ClassificationHead, CustomHead, RegressionHead
from mltool.modeling.tasks.losses import Loss, classification_loss, custom_loss, regression_loss
from mltool.modeling.tasks.outputs import OutputKind, measure_output_kind, shape_of, single_output
from mltool.modeling.user_code import call_user, import_object, user_code
from mltool.runtimes.measure import metrics_of
from mltool.statistics.metrics import MAIN_METRIC

# Axes: N samples, C classes


@dataclass(frozen=True, slots=True)
class Task:
    """A task with everything measured that it depends on.

    Attributes:
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

    def in_words(self) -> str:
        """What was measured of the network, and the loss that goes with it."""
        return f"{_words(self.output_kind)}, so the loss is `{self.loss_name}`"

    def metrics(self, outputs: Mapping[str, np.ndarray], target_N: np.ndarray) -> dict[str, float]:
        """Metrics of the graph's outputs."""
        return task_metrics(self.kind, outputs, target_N, self.metric)


def task_metrics(
    kind: str, outputs: Mapping[str, np.ndarray], target_N: np.ndarray, metric: Callable[[Any, Any], Any] | None
) -> dict[str, float]:
    """Metrics of a graph's outputs by task; a custom task has those of its own metric only."""
    if kind != "custom":
        return metrics_of(kind, outputs, target_N)
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
        return Task(kind, *custom_loss(config.loss), "custom", "metric" if metric else "loss", metric)
    if kind == "classification":
        return _classification(config, schema, outputs)
    return _regression(config, outputs)


def measured_again(task: Task, outputs: Any) -> Task:
    """The task with the kind of output that the trained network has.

    Raises:
        ConfigError: Its rows were probabilities before the training and are no more, or the other way round.
    """
    if task.kind != "classification":
        return task
    kind = measure_output_kind(single_output(outputs))
    if "probabilities" in (kind, task.output_kind) and kind != task.output_kind:
        raise ConfigError(
            f"the network answered {_words(task.output_kind)} before it was trained, and answers {_words(kind)} now",
            hint="answer logits: the graph gets its own softmax",
        )
    return replace(task, output_kind=kind)


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
            f"the network answers {shape_of(output_NC)}, but `{schema.target.name}` has {num_classes} classes, "
            f"so [N, {num_classes}] is needed",
            hint="change the network's last layer, or name the labels with `data.label` or `data.fields.labels`",
        )
    output_kind = measure_output_kind(output_NC)
    loss, name = classification_loss(config.loss, output_kind)
    return Task("classification", loss, name, output_kind, MAIN_METRIC["classification"])


def _regression(config: TaskConfig, outputs: Any) -> Task:
    output = single_output(outputs)
    if output.dim() not in (1, 2) or (output.dim() == 2 and output.shape[1] != 1):
        raise ConfigError(
            f"the network answers {shape_of(output)}, but one number a sample, [N] or [N, 1], is needed",
            hint="change the network's last layer, or use `task.kind=custom` with a `task.loss`",
        )
    return Task("regression", *regression_loss(config.loss), "prediction", MAIN_METRIC["regression"])
