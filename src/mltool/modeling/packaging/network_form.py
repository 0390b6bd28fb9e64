"""A torch network as something that can be packaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from mltool.artifacts.checks import Check
from mltool.datasets.schema import Schema
from mltool.modeling.network import input_names
from mltool.modeling.packaging.export import ExportError, export_onnx
from mltool.modeling.packaging.served import Served, run_eager
from mltool.modeling.tasks.task import Task
from mltool.modeling.tensor_files import write_safetensors
from mltool.runtimes.config import GRAPH
from mltool.runtimes.runner import Signature

WEIGHTS = "weights.safetensors"


class NetworkForm:
    """Weights go to safetensors, and preprocessing, network and named outputs together into the graph."""

    weights_file: str | None = WEIGHTS

    def __init__(
        self,
        network: nn.Module,
        preprocess: Sequence[nn.Module],
        task: Task,
        target_scale: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self._network = network
        self._served = Served(network, preprocess, task.head(target_scale))

    def input_names(self, schema: Schema) -> list[str]:
        return input_names(self._network, schema)

    def answer(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return run_eager(self._served, inputs)

    def write(self, folder: Path, signature: Signature, example: Sequence[np.ndarray]) -> Check:
        write_safetensors(folder / WEIGHTS, self._served.state_dict())
        inputs, outputs = [s.name for s in signature.inputs], [s.name for s in signature.outputs]
        try:
            export_onnx(self._served, example, inputs, outputs, folder / GRAPH)
        except ExportError as error:  # the run is not lost: weights and report are kept
            return Check.failed("export", error.message)
        return Check.passed("export")
