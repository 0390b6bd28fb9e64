"""When a training is over; a function of what is recorded of it, so that a resumed run decides the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mltool.modeling.config import TrainConfig


def is_over(config: TrainConfig, history: Sequence[Mapping[str, Any]], best_epoch: int) -> bool:
    """Whether no further epoch begins: all are done, the patience is used up, or the time.

    Args:
        best_epoch: The epoch with the smallest validation loss, counted from 1; 0 before the first.
    """
    is_out_of_patience = config.patience > 0 and len(history) - best_epoch >= config.patience
    is_out_of_time = config.max_time_s > 0 and sum(row["seconds"] for row in history) >= config.max_time_s
    return len(history) >= config.epochs or is_out_of_patience or is_out_of_time
