"""Nothing phones home, nor prepares to: libraries that do keep an id of the machine in the user's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

RUN = """
import sys
import numpy as np
from mltool.datasets.schema import TensorSpec
from mltool.runtimes.runner import Signature
if sys.argv[1] == "onnxruntime":
    from mltool.runtimes.backends.onnxruntime import OnnxRuntimeRunner as Runner
    arguments = (None,)
else:
    from mltool.runtimes.backends.openvino import OpenVinoRunner as Runner
    arguments = (1, "f32")
signature = Signature((TensorSpec("x", "float32", (4,)),), (TensorSpec("y", "float32", (4,)),))
print(Runner("graph.onnx", signature, *arguments).run({"x": np.ones((2, 4), np.float32)})["y"].sum())
"""


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_running_a_model_leaves_nothing_in_the_users_folder(backend: str, tmp_path: Path) -> None:
    pytest.importorskip(backend)
    node = helper.make_node("Relu", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy")
    made = helper.make_model(
        helper.make_graph([node], "net", [x], [y]), opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    )
    onnx.save(made, "graph.onnx")
    home = tmp_path / "home"
    home.mkdir()
    folders = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "LOCALAPPDATA": str(home / "local")}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    ended = subprocess.run(
        [sys.executable, "-c", RUN, backend], env={**kept, **folders}, capture_output=True, text=True, check=True
    )
    assert float(ended.stdout) == np.float64(8)
    assert not [path for path in home.rglob("*") if path.is_file()]
