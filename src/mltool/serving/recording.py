"""What of each request is remembered: the prediction log, as far as the config allows it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from mltool.records.prediction_log import PredictionLog
from mltool.runtimes.runner import Signature
from mltool.serving.config import ServeConfig
from mltool.serving.served import Served

Arrays = Mapping[str, npt.NDArray[Any]]

_MAX_TENSOR_VALUES = 1024
"""Values of a sample up to which a tensor counts as a row of numbers rather than as a payload."""


class Recorder:
    """Writes one record a request; nothing that goes wrong with it reaches the request."""

    def __init__(self, served: Served, config: ServeConfig, folder: Path | None, worker: int) -> None:
        """Open the log.

        Args:
            folder: None records nothing.
        """
        self._log = PredictionLog(folder, worker) if folder is not None else None
        self._deployment = config.deployment or served.name
        self._digest = served.model.digest
        self._kept = kept_inputs(served.signature, config.record)

    @property
    def num_dropped(self) -> int:
        return self._log.num_dropped if self._log is not None else 0

    def record(
        self, request_id: str, status: int, seconds: float, inputs: Arrays | None, outputs: Arrays | None
    ) -> None:
        if self._log is None:
            return
        if inputs is not None and self._kept is not None:
            inputs = {name: inputs[name] for name in self._kept} or None
        self._log.append(
            request_id, time.time() - seconds, self._deployment, self._digest, status, seconds * 1000, inputs, outputs
        )

    def close(self) -> None:
        if self._log is not None:
            self._log.close()


def kept_inputs(signature: Signature, record: str) -> tuple[str, ...] | None:
    """The inputs that are kept; None for all of them.

    Args:
        record: As `ServeConfig.record`.
    """
    if record == "all":
        return None
    if record == "outputs":
        return ()
    return tuple(spec.name for spec in signature.inputs if _is_row(spec.name, spec.shape))


def _is_row(name: str, shape: tuple[int, ...]) -> bool:
    """Whether an input is a row of numbers or codes; pictures, texts and large tensors are payloads."""
    return name not in ("image", "tokens") and len(shape) == 1 and -1 not in shape and shape[0] <= _MAX_TENSOR_VALUES
