"""A classifier written by hand, for checking the checks."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mltool.artifacts.checks import Check, CheckStatus
from mltool.datasets.schema import TensorSpec
from mltool.runtimes.backends.onnxruntime import OnnxRuntimeRunner
from mltool.runtimes.runner import Signature
from mltool.runtimes.samples import Samples
from mltool.runtimes.verify import Limits, verify

# A classifier written by hand: x [N,4] @ weight [4,3], then softmax. Its answers are computed with numpy, so a graph
# is never held against itself.

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(4, 3)).astype(np.float32)
X = RNG.normal(size=(64, 4)).astype(np.float32)
SIGNATURE = Signature(
    (TensorSpec("x", "float32", (4,)),),
    (TensorSpec("logits", "float32", (3,)), TensorSpec("probabilities", "float32", (3,))),
)


def expected(weight: np.ndarray = WEIGHT) -> dict[str, np.ndarray]:
    logits = X @ weight
    return {"logits": logits, "probabilities": np.exp(logits) / np.exp(logits).sum(1, keepdims=True)}


def graph(weight: np.ndarray = WEIGHT, *between: onnx.NodeProto, **constants: np.ndarray) -> bytes:
    """The graph, with nodes put between `product` and `logits`; the last of them must give `logits`."""
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["product"]),
        *(between or [helper.make_node("Identity", ["product"], ["logits"])]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logits", "probabilities")],
        [numpy_helper.from_array(array, name) for name, array in {"weight": weight, **constants}.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def samples(outputs: dict[str, np.ndarray] | None = None, labelled: bool = True) -> Samples:
    outputs = outputs or expected()
    return Samples({"x": X}, outputs, expected()["logits"].argmax(1) if labelled else None)


def checked(graph_bytes: bytes, given: Samples | None = None, **limits: float) -> dict[str, Check]:
    runner = OnnxRuntimeRunner(graph_bytes, SIGNATURE, threads=1)
    return {check.id: check for check in verify(runner, given or samples(), Limits(**limits), "classification")}


def failed(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.status is CheckStatus.failed}
