"""The user's own metric, where no torch is needed for the model itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mltool.modeling.tasks import task_metrics
from mltool.modeling.user_code import import_object


def custom_metric(path: str, outputs: Mapping[str, np.ndarray], target_N: np.ndarray) -> dict[str, float]:
    """Call `task.metric` on a graph's outputs."""
    return task_metrics("custom", outputs, target_N, import_object(path, "task.metric"))
