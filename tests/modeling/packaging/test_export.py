from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from mltool.datasets.schema import Column, ImageSpec, Schema, Target, TensorSpec
from mltool.modeling.config import ModelConfig
from mltool.modeling.network import make_network
from mltool.modeling.packaging.export import ExportError, export_onnx
from mltool.modeling.packaging.graphs import BATCH_AXIS
from mltool.modeling.packaging.served import Served, run_eager
from mltool.modeling.preprocess import Identity, ImageScaling, NumberScaling
from mltool.modeling.tasks.heads import ClassificationHead, CustomHead, RegressionHead
from mltool.modeling.user_code import import_object


def served(network: nn.Module, num_inputs: int = 1, head: nn.Module | None = None) -> Served:
    return Served(network, [Identity() for _ in range(num_inputs)], head or CustomHead())


def write_graph(model: Served, path: Path, *inputs: np.ndarray, names: tuple[str, ...] = ("x",)) -> list[str]:
    outputs = list(run_eager(model, inputs))
    export_onnx(model, [array[:2] for array in inputs], names, outputs, path)
    return outputs


def difference(model: Served, path: Path, *inputs: np.ndarray, names: tuple[str, ...] = ("x",)) -> float:
    """Largest difference between the eager network and the graph, relative to the largest value."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    eager = run_eager(model, inputs)
    graph = dict(zip(eager, session.run(list(eager), dict(zip(names, inputs, strict=True))), strict=True))
    return max(float(np.abs(graph[k] - eager[k]).max() / max(np.abs(eager[k]).max(), 1e-9)) for k in eager)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_preprocessing_network_and_head_are_one_graph_for_any_batch(tmp_path: Path) -> None:
    schema = Schema(
        (Column("image", "image"),),
        (TensorSpec("image", "uint8", (1, 8, 8)),),
        Target("label", "class", ("a", "b", "c")),
        ImageSpec(1, 8, 8),
    )
    network = make_network(ModelConfig(name="cnn", args={"hidden": 4}), schema, 0)
    scaling = ImageScaling(torch.tensor([0.3]), torch.tensor([0.2]))
    model, path = Served(network, [scaling], ClassificationHead("logits")), tmp_path / "graph.onnx"
    images = np.random.default_rng(0).integers(0, 255, (7, 1, 8, 8), np.uint8)
    assert write_graph(model, path, images, names=("image",)) == ["logits", "probabilities"]
    for size in (1, 2, 5, 7):
        assert difference(model, path, images[:size], names=("image",)) < 1e-5
    graph = onnx.load(path).graph
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)} == {BATCH_AXIS}


def test_missing_numbers_and_unknown_categories_are_in_the_graph(tmp_path: Path) -> None:
    columns = (Column("n0", "number"), Column("n1", "number"), Column("c0", "category", ("x", "y")))
    inputs = (TensorSpec("numbers", "float32", (2,)), TensorSpec("categories", "int64", (1,)))
    network = make_network(ModelConfig(name="mlp"), Schema(columns, inputs, Target("price", "number")), 0)
    scaling = NumberScaling(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([5.0, 6.0]))
    model, path = Served(network, [scaling, Identity()], RegressionHead(150.0, 20.0)), tmp_path / "graph.onnx"
    numbers = np.array([[1, 2], [np.nan, 3], [4, np.nan]], np.float32)
    codes = np.array([[0], [1], [2]])
    write_graph(model, path, numbers, codes, names=("numbers", "categories"))
    assert difference(model, path, numbers, codes, names=("numbers", "categories")) < 1e-6
    filled = np.array([[1, 2], [1, 3], [4, 2]], np.float32)
    assert np.allclose(
        run_eager(model, [numbers, codes])["prediction"], run_eager(model, [filled, codes])["prediction"]
    )


class Mixed(nn.Module):
    """Two inputs and two outputs of different types, in an order that matters."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(10, 4), nn.Linear(4, 2)

    def forward(self, tokens: Tensor, scale: Tensor) -> dict[str, Tensor]:
        mean = self.out(self.embed(tokens).mean(1)) * scale
        return {"mean": mean, "best": mean.argmax(1)}


def test_several_inputs_and_outputs_keep_their_names_order_and_types(tmp_path: Path) -> None:
    model, path = served(Mixed(), 2), tmp_path / "graph.onnx"
    tokens, scale = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), random(3, 1)
    write_graph(model, path, tokens, scale, names=("tokens", "scale"))
    assert difference(model, path, tokens, scale, names=("tokens", "scale")) < 1e-5
    graph = onnx.load(path).graph
    assert [value.name for value in graph.input] == ["tokens", "scale"]
    assert [value.name for value in graph.output] == ["mean", "best"]


def test_the_same_network_gives_the_same_bytes_without_any_path(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("netfile.py", "from torch import nn\nclass Net(nn.Sequential):\n    pass\n")
    torch.manual_seed(0)
    network = import_object("netfile:Net", "model.target")(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    for name in ("a.onnx", "b.onnx"):
        write_graph(served(network), tmp_path / name, random(4, 4))
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    for trace in (str(tmp_path), "site-packages", "netfile", ".py", "mltool/"):
        assert trace.encode() not in content, trace


def test_another_process_in_another_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    code = """
        import numpy as np, torch, pathlib
        from torch import nn
        from mltool.modeling.packaging.export import export_onnx
        from mltool.modeling.preprocess import Identity
        from mltool.modeling.packaging.served import Served
        from mltool.modeling.tasks.task import CustomHead
        torch.manual_seed(0)
        served = Served(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), [Identity()], CustomHead())
        export_onnx(served, [np.zeros((2, 4), np.float32)], ["x"], ["output"], pathlib.Path("graph.onnx"))
    """
    torch.manual_seed(0)
    write_graph(served(nn.Sequential(nn.Linear(4, 3), nn.ReLU())), tmp_path / "here.onnx", random(2, 4))
    (tmp_path / "elsewhere").mkdir()
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path / "elsewhere", check=True)
    assert (tmp_path / "elsewhere" / "graph.onnx").read_bytes() == (tmp_path / "here.onnx").read_bytes()


BROKEN = """
    import torch
    from torch import nn

    class Branch(nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                return x * 2
            return x

    class Numpy(nn.Module):
        def forward(self, x):
            return torch.tensor([float(value) for value in x.flatten()]).reshape(x.shape)

    class Baked(nn.Module):
        def forward(self, x):
            return x.reshape(2, -1) * 2

    class Joined(nn.Module):
        def forward(self, x):
            return x + torch.ones(2, 4)

    class Reduced(nn.Module):
        def forward(self, x):
            return x.mean(0)

    class Sorting(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x[:, :2, None] @ x[:, None, :2]).abs()
"""


@pytest.mark.parametrize(
    ("name", "line", "text", "why"),
    [
        ("Branch", 6, "if x.sum() > 0:", "data-dependent|cannot be exported"),
        ("Numpy", 12, "return torch.tensor(", "cannot be exported"),
        ("Baked", 16, "return x.reshape(2, -1) * 2", "a batch size is baked into the network"),
        ("Joined", 20, "return x + torch.ones(2, 4)", "a batch size is baked into the network"),
    ],
)
def test_the_users_line_that_breaks_the_graph_is_shown(
    name: str, line: int, text: str, why: str, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("src/broken.py", BROKEN)
    network = import_object(f"src.broken:{name}", "model.target")()
    with pytest.raises(ExportError, match=why) as caught:
        export_onnx(served(network), [random(2, 4)], ["x"], ["output"], tmp_path / "graph.onnx")
    assert f"src/broken.py:{line} (`{text}" in caught.value.message
    assert not (tmp_path / "graph.onnx").exists()


@pytest.mark.parametrize(
    ("name", "advice"), [("Branch", "use `torch.where` instead"), ("Baked", "use -1 or `x.shape[0]`")]
)
def test_a_network_that_cannot_be_exported_gets_one_line_with_what_to_do(
    name: str, advice: str, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("src/broken.py", BROKEN)
    network = import_object(f"src.broken:{name}", "model.target")()
    with pytest.raises(ExportError) as caught:
        export_onnx(served(network), [random(2, 4)], ["x"], ["output"], tmp_path / "graph.onnx")
    assert "\n" not in caught.value.message
    assert advice in caught.value.message


def test_an_output_without_a_batch_axis_is_refused(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("src/broken.py", BROKEN)
    network = import_object("src.broken:Reduced", "model.target")()
    with pytest.raises(ExportError, match="the graph has a fixed batch size: `output` has 4 rows on axis 0"):
        export_onnx(served(network), [random(2, 4)], ["x"], ["output"], tmp_path / "graph.onnx")


def test_an_operation_that_onnx_lacks_is_one_clear_error(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("src/broken.py", BROKEN)
    network = import_object("src.broken:Sorting", "model.target")()
    with pytest.raises(ExportError, match="the network cannot become an ONNX graph") as caught:
        export_onnx(served(network), [random(2, 4)], ["x"], ["output"], tmp_path / "graph.onnx")
    assert "src/broken.py:28 (`return torch.linalg.eigvals(" in caught.value.message
    assert "No ONNX function found for <OpOverload(op='aten.linalg_eig'" in caught.value.message


def test_exporting_says_nothing_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_graph(served(nn.Linear(4, 2)), tmp_path / "graph.onnx", random(3, 4))
    assert capfd.readouterr() == ("", "")


def test_dropout_is_off_in_the_reference_and_the_graph(tmp_path: Path) -> None:
    model = served(nn.Sequential(nn.Linear(4, 50), nn.Dropout(0.9)).train())
    reference = run_eager(model.train(), [random(3, 4)])["output"]
    assert (reference != 0).all()
    model.train()
    export_onnx(model, [random(2, 4)], ["x"], ["output"], tmp_path / "graph.onnx")
    assert difference(model, tmp_path / "graph.onnx", random(3, 4)) < 1e-5
