"""Tries one library in a process of its own, which it may crash.

Run as `python -m mltool.stages.doctor.library NAME RESULT`, it writes one JSON object to the file RESULT, because
libraries print to stdout as they like.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPSET = 18
"""Of the graphs that mltool writes."""


def _torch() -> str:
    torch, numpy = importlib.import_module("torch"), importlib.import_module("numpy")
    # Without the C interface that torch was built against, the import succeeds and this does not.
    total = torch.from_numpy(numpy.ones((2, 2), numpy.float32)).matmul(torch.ones(2, 2)).sum().item()
    if total != 8.0:
        raise ArithmeticError(f"a product of ones is {total}")
    if not torch.cuda.is_available():
        return f"CUDA {torch.version.cuda}, but no GPU" if torch.version.cuda else "CPU build"
    names = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    return f"CUDA {torch.version.cuda} on {', '.join(sorted(names))}"


def _torchvision() -> str:
    ops, torch = importlib.import_module("torchvision.ops"), importlib.import_module("torch")
    ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    return "its operators fit torch"


def _onnxruntime() -> str:
    onnx, runtime = importlib.import_module("onnx"), importlib.import_module("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, ["n"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "net", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    providers = [name.removesuffix("ExecutionProvider") for name in runtime.get_available_providers()]
    return f"runs graphs of onnx {onnx.__version__}, opset {OPSET}, on {', '.join(providers)}"


def _openvino() -> str:
    return f"devices {', '.join(importlib.import_module('openvino').Core().available_devices)}"


def _tensorrt() -> str:
    importlib.import_module("torch_tensorrt")
    return "its libraries load"


def _import(*modules: str) -> Callable[[], str]:
    def try_import() -> str:
        for module in modules:
            importlib.import_module(module)
        return ""

    return try_import


TRIALS: dict[str, Callable[[], str]] = {
    "torch": _torch,
    "onnxruntime": _onnxruntime,
    "onnxscript": _import("onnxscript"),
    "pyarrow": _import("pyarrow.parquet"),
    "simplejpeg": _import("simplejpeg", "PIL.Image"),
    "dvc": _import("dvc.repo", "dvc_gs"),
    "wandb": _import("wandb"),
    "google-cloud-run": _import("google.cloud.run_v2", "google.cloud.storage"),
    "optuna": _import("optuna"),
    "torchvision": _torchvision,
    "openvino": _openvino,
    "lightning": _import("lightning"),
    "torch-tensorrt": _tensorrt,
}
"""What is tried, by distribution."""


def main(name: str, result: Path) -> None:
    answer: dict[str, Any]
    try:
        answer = {"detail": TRIALS[name]()}
    except BaseException as error:  # noqa: BLE001  # a broken library may raise anything, also SystemExit
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        answer = {"error": f"{type(error).__name__}: {first}" if first else type(error).__name__}
    result.write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
