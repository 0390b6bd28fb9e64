"""int8 weights and activations, with ranges measured on the model's samples; weights have one scale a channel."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mltool.runtimes.schemes._scheme import Scheme
from mltool.runtimes.verify import Limits

_BATCH_ROWS = 32


class _Samples(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        self._batches = self._of(inputs)

    @staticmethod
    def _of(inputs: Mapping[str, npt.NDArray[Any]]) -> Iterator[dict[str, npt.NDArray[Any]]]:
        for start in range(0, len(next(iter(inputs.values()))), _BATCH_ROWS):
            yield {name: np.ascontiguousarray(array[start : start + _BATCH_ROWS]) for name, array in inputs.items()}

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        return next(self._batches, None)


def convert(graph: Path, inputs: Mapping[str, npt.NDArray[Any]], target: Path) -> None:
    """Write the quantized twin of a float graph."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it recommends what was done on the line before
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(target),
                _Samples(inputs),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    finally:
        logger.setLevel(level)


# Logits move by up to 7 % on sound models; what counts is that answers stay, so the task metric is the limit.
scheme = Scheme(convert, Limits(relative_error=0.15, class_agreement=0.98, task_metric_drop=0.01))
