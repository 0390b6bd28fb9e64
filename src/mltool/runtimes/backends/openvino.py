"""OpenVINO on the CPU (extra `openvino`): the fastest for residual networks and transformers; reads the same graph."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.core import host
from mltool.core.errors import ArtifactError, ConfigError, InputError
from mltool.runtimes.candidate import Candidate
from mltool.runtimes.runner import Arrays, Runner, Signature, graph_of, options_of


class OpenVinoRunner:
    def __init__(self, graph: str, signature: Signature, threads: int | None, precision: str) -> None:
        ov = _openvino()
        self.signature = signature
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads or host.num_cores(),
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,  # unsaid, it is bf16 on processors that have it
        }
        try:
            self._model = ov.Core().compile_model(graph, "CPU", settings)
        except RuntimeError as error:
            raise ArtifactError(f"OpenVINO cannot load the graph: {_reason(error)}") from error
        self._request = self._model.create_infer_request()
        self._outputs = [spec.name for spec in signature.outputs]

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        try:
            answers = self._request.infer(self.signature.checked(inputs))
        except RuntimeError as error:
            raise InputError(f"OpenVINO cannot run this input: {_reason(error)}") from error
        return {name: np.array(answers[name]) for name in self._outputs}


def _openvino() -> Any:
    """OpenVINO, which reports each import to Google Analytics, unless its package for that cannot be imported."""
    reporting = "openvino_telemetry"
    is_ours = reporting not in sys.modules
    if is_ours:
        sys.modules[reporting] = None  # type: ignore[assignment]  # how Python marks what is not to be found
    try:
        import openvino
    finally:
        if is_ours:
            del sys.modules[reporting]
    return openvino


def load(model: Artifact, signature: Signature, threads: int | None) -> Runner:
    if find_spec("openvino") is None:
        raise ConfigError("OpenVINO is not installed", hint='install it with `pip install "mltool[openvino]"`')
    precision = options_of(model, "openvino").get("precision", "fp32")
    return OpenVinoRunner(str(graph_of(model)), signature, threads, {"fp32": "f32"}.get(precision, precision))


def candidates() -> list[Candidate]:
    if find_spec("openvino") is None:
        return []
    threads = sorted({1, host.num_cores()})
    has_bf16 = bool({"amx_bf16", "avx512_bf16"} & set(host.cpu_flags()))
    return [
        *(Candidate("openvino", threads=n) for n in threads),
        *(Candidate("openvino", threads=n, options={"precision": "bf16"}) for n in threads if has_bf16),
        *(Candidate("openvino", "int8_static", n) for n in threads),
    ]


def _reason(error: RuntimeError) -> str:
    """Its last line; those before it say where in OpenVINO."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
