"""ONNX Runtime on the CPU: the default, because it needs neither torch nor a compiler."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy.typing as npt
import onnxruntime as ort

from mltool.artifacts.artifact import Artifact
from mltool.core import host
from mltool.core.errors import ArtifactError, InputError
from mltool.runtimes.candidate import FLOAT, Candidate
from mltool.runtimes.runner import Arrays, Runner, Signature, graph_of, options_of


class OnnxRuntimeRunner:
    """Idle threads sleep: spinning, they would take the cores from whatever else runs.

    Args:
        options: Entries of the session's configuration, beside that.
    """

    def __init__(
        self,
        graph: bytes | str,
        signature: Signature,
        threads: int | None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.signature = signature
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads or host.num_cores()
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 4  # what it says comes as an error as well
        for key, value in {"session.intra_op.allow_spinning": "0", **options}.items():
            settings.add_session_config_entry(key, value)
        try:
            self._session = ort.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no other common base
            raise ArtifactError(f"ONNX Runtime cannot load the graph: {_first_line(error)}") from error
        self._outputs = [spec.name for spec in signature.outputs]

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        checked = self.signature.checked(inputs)
        try:
            answers: list[npt.NDArray[Any]] = self._session.run(self._outputs, checked)
        except Exception as error:  # its errors have no other common base
            raise InputError(f"ONNX Runtime cannot run this input: {_first_line(error)}") from error
        return dict(zip(self._outputs, answers, strict=True))


def load(model: Artifact, signature: Signature, threads: int | None) -> Runner:
    return OnnxRuntimeRunner(os.fspath(graph_of(model)), signature, threads, options_of(model, "onnxruntime"))


def candidates() -> list[Candidate]:
    threads = sorted({1, host.num_cores()})
    return [Candidate("onnxruntime", scheme, n) for scheme in (FLOAT, "int8_static") for n in threads]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
