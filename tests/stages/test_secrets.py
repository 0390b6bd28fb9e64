from __future__ import annotations

from pathlib import Path

import pytest

import mltool
from mltool.artifacts.store import open_store
from mltool.core.errors import ArtifactError, ConfigError
from mltool.runtimes.runner import load

NETWORK = """
from torch import nn

class Net(nn.Module):
    def __init__(self, token, width):
        super().__init__()
        assert token == "hunter2xyz"
        self.layer = nn.Linear(64, width)

    def forward(self, x):
        return self.layer(x.flatten(1))
"""


def test_what_stands_behind_a_reference_is_used_but_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secretive.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MLTEST_SECRET", "hunter2xyz")
    arguments = ("model.args.token=${oc.env:MLTEST_SECRET}", "model.args.width=10", "epochs=1")
    model = mltool.train("model.target=secretive:Net", *arguments)
    written = [path for path in open_store().root.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert not [path for path in written if b"hunter2xyz" in path.read_bytes()]
    rebuilt = load(model, "torch")
    assert rebuilt.signature.outputs[0].shape == (10,)
    monkeypatch.delenv("MLTEST_SECRET")
    with pytest.raises(ConfigError, match="cannot be resolved"):
        load(model, "torch")


def test_the_code_that_an_artifact_from_elsewhere_names_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secretive.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    model = mltool.train(
        "model.target=secretive:Net", "model.args.token=hunter2xyz", "model.args.width=10", "epochs=1", "seed=5"
    )
    monkeypatch.setenv("MLTOOL_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(ArtifactError, match="not in this project's store"):
        load(mltool.load(str(model.path)), "torch")


def test_the_folder_that_a_reference_stands_for_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = tmp_path / "hunter2xyz"
    hidden.mkdir()
    rows = "".join(f"{number},{'ab'[number % 2]}\n" for number in range(40))
    (hidden / "corn.csv").write_text(f"length,kind\n{rows}")
    monkeypatch.setenv("MLTEST_FOLDER", str(hidden))
    mltool.data.add("source=${oc.env:MLTEST_FOLDER}/corn.csv")
    written = [path for path in open_store().root.rglob("*") if path.is_file()]
    assert any(b"corn.csv" in path.read_bytes() for path in written)
    assert not [path for path in written if b"hunter2xyz" in path.read_bytes()]


def test_the_loss_that_a_reference_stands_for_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hunter2xyz.py").write_text("from torch.nn.functional import cross_entropy as loss\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MLTEST_LOSS", "hunter2xyz:loss")
    model = mltool.train("task.loss=${oc.env:MLTEST_LOSS}", "model.args.hidden=4", "epochs=1")
    assert model.config["rebuild"]["loss"] == "${oc.env:MLTEST_LOSS}"
    written = [path for path in open_store().root.rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter2xyz" in path.read_bytes()]
