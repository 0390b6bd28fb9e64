"""The answers and the loss of a network on all samples of a feed, each rank on its part of them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import load, save

from mltool.modeling.training.feed import Feed, on_device
from mltool.modeling.user_code import user_code
from mltool.runtimes.runner import Whole

if TYPE_CHECKING:
    from mltool.modeling.training.loop import Fit

# Axes: N samples

_ROWS = 1024
_BYTES = 4 << 20


def evaluate(
    fit: Fit, feed: Feed, autocast: AbstractContextManager[Any] | None = None
) -> tuple[dict[str, np.ndarray], float]:
    """The named outputs for all samples, on the first rank only, and the mean loss, on all."""
    network, task, ranks = fit.network, fit.task, fit.ranks
    was_training = network.training
    network.eval()
    head = task.head(fit.target_scale).to(fit.device)
    own_N = np.array_split(np.arange(len(feed)), ranks.size)[ranks.rank]
    outputs, loss_sum = Whole(len(own_N)), 0.0
    batch_rows = max(fit.config.batch_size, min(_ROWS, _BYTES // sample_bytes(feed)))
    with torch.no_grad(), user_code("the network's forward"), autocast or nullcontext():
        for start in range(0, len(own_N), batch_rows):
            rows_N = own_N[start : start + batch_rows]
            inputs, target_N = on_device(feed.gather(rows_N), fit.device)
            answer = network(*inputs)
            loss_sum += float(task.loss(answer, target_N)) * len(rows_N)
            outputs.write(start, {name: value.float().cpu().numpy() for name, value in head(answer).items()})
    network.train(was_training)
    (total,) = ranks.sums([loss_sum])
    return _together(outputs.arrays, fit), total / len(feed)


def _together(outputs: dict[str, np.ndarray], fit: Fit) -> dict[str, np.ndarray]:
    if fit.ranks.size == 1:
        return outputs
    parts = [load(part) for part in fit.ranks.gather(save(outputs))]
    names = parts[0] if parts else ()
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}


def validation_metrics(fit: Fit, outputs: dict[str, np.ndarray]) -> dict[str, float]:
    """The metrics of the validation split, in the unit of the target."""
    mean, std = fit.target_scale
    target_N = fit.validation.target
    target = (target_N * std + mean if target_N.is_floating_point() else target_N).numpy()
    metrics = fit.task.metrics(outputs, target)
    metrics.pop("log_loss", None)  # it is the loss once more
    return metrics


def sample_bytes(feed: Feed) -> int:
    """What one prepared sample takes in memory."""
    inputs, _ = feed.gather(np.zeros(1, dtype=np.int64))
    return max(1, sum(tensor.nbytes for tensor in inputs))
