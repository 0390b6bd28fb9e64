"""Variants of real models: verified, timed, kept only where they pay."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mltool
from mltool.artifacts.checks import CheckStatus
from mltool.artifacts.store import open_store
from mltool.cli.app import run
from mltool.core import host
from mltool.core.errors import CheckError, ConfigError
from mltool.runtimes.runner import load
from mltool.statistics.reference import Reference
from mltool.variants.variant import float_ancestor

pytestmark = pytest.mark.xdist_group("variants")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> mltool.Model:
    """A network whose weights are most of its graph."""
    with contextlib.chdir(tmp_path_factory.mktemp("wide")):
        return mltool.train("model.name=mlp", "model.args.hidden=256", "epochs=4", name="wide")


@pytest.fixture
def at_wide(wide: mltool.Model) -> Iterator[mltool.Model]:
    with contextlib.chdir(wide.path.parents[2]):
        yield wide


def test_a_quantized_twin_is_smaller_and_answers_as_its_parent(at_wide: mltool.Model) -> None:
    variant = mltool.quantize("wide@1")
    made = mltool.load(str(variant.artifact.path))
    assert not variant.kept_parent
    assert variant.artifact.ref == "wide@2"
    assert {check.status for check in made.checks} == {CheckStatus.passed}
    assert made.metrics["size_mib"] < 0.5 * (at_wide.path / "graph.onnx").stat().st_size / 2**20
    assert made.metrics["accuracy"] == pytest.approx(at_wide.metrics["accuracy"], abs=0.01)
    assert made.evaluate().metrics["accuracy"] == pytest.approx(made.metrics["accuracy"])
    parents = {parent.role: parent.digest for parent in made.manifest.parents}
    assert parents["float model"] == at_wide.digest
    assert set(parents) == {"float model", "data"}


def test_a_variant_is_watched_by_its_own_answers(at_wide: mltool.Model) -> None:
    made = mltool.load(str(mltool.quantize("wide@1").artifact.path))
    own, parents = Reference.load(made.path / "reference"), Reference.load(at_wide.path / "reference")
    assert np.array_equal(own.rows["image"], parents.rows["image"])
    assert np.array_equal(own.outputs["probabilities"], load(made).run(own.rows)["probabilities"])
    assert not np.array_equal(own.outputs["probabilities"], parents.outputs["probabilities"])


def test_a_variant_of_a_variant_starts_from_the_float_model(at_wide: mltool.Model) -> None:
    twin = mltool.quantize("wide@1").artifact
    again = mltool.compile_model(str(twin.path), "backend=onnxruntime", "precisions=fp32")
    assert float_ancestor(twin, open_store()).digest == at_wide.digest
    assert [one.candidate.scheme for one in again.tried[1:]] == ["fp32"] * (len(again.tried) - 1)
    assert again.tried[0].candidate.scheme == "int8_static", "what is to beat is the variant itself"


def test_compiling_tries_what_is_installed_and_remembers_how_to_run(at_wide: mltool.Model) -> None:
    variant = mltool.compile_model("wide@1", "backend=onnxruntime", "min_speedup=1.0", "precisions=fp32,int8_static")
    names = [one.candidate.name for one in variant.tried]
    assert names[0] == "onnxruntime fp32, all cores"
    assert "onnxruntime int8_static, 1 thread" in names
    num_cores = host.num_cores()
    assert ("onnxruntime fp32, 1 thread" in names) is (num_cores > 1)
    assert f"onnxruntime fp32, {num_cores} threads" not in names, "the model is run so today"
    assert [one.outcome for one in variant.tried].count("chosen") == (0 if variant.kept_parent else 1)
    if not variant.kept_parent:
        config = variant.artifact.config
        assert config["run"] == variant.chosen.candidate.run()
        assert config["compile"]["backend"] == "onnxruntime"


def test_nothing_gained_keeps_the_parent_and_what_was_tried(at_wide: mltool.Model) -> None:
    variant = mltool.compile_model("wide@1", "backend=onnxruntime", "min_speedup=100", "precisions=fp32")
    assert variant.kept_parent
    assert variant.artifact.digest == at_wide.digest
    proof = open_store().attestations(at_wide)[-1]
    assert proof.config["claim"] == "compile"
    assert len(proof.manifest.facts["candidates"]) == len(variant.tried)
    assert variant.to_json()["kept_parent"] is True


class Outlier(nn.Module):
    """The same function as a small network, but one channel is so large that its scale leaves nothing to the others."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(8, 64), nn.Linear(64, 4)
        with torch.no_grad():
            self.first.weight[0] *= 1e6
            self.first.bias[0] = 5e6
            self.second.weight[:, 0] *= 1e-9

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))


def test_a_twin_that_loses_its_accuracy_is_kept_without_a_name(tmp_path: Path) -> None:
    module, x = Outlier().eval(), torch.randn(256, 8)
    mltool.save(module, x, module(x).argmax(1), name="outlier")
    with pytest.raises(CheckError, match=r"gets no name because a check failed: .*`task_metric_drop`") as caught:
        mltool.quantize("outlier")
    kept: Any = caught.value.artifact
    assert kept.has_failed_checks
    assert open_store().name_of(kept) is None
    assert mltool.load("outlier").ref == "outlier@1"
    assert mltool.load("latest").ref == "outlier@1"


def test_a_runtime_that_is_not_here_says_how_to_get_it(at_wide: mltool.Model) -> None:
    with pytest.raises(ConfigError, match=r"`compile\.backend` must be one of"):
        mltool.compile_model("wide@1", "backend=tensorrt")


def test_the_command_shows_what_was_tried(at_wide: mltool.Model, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "wide@1"]) == 0
    out = capsys.readouterr().out
    assert "onnxruntime int8_static, 1 thread" in out
    assert "✓ chosen" in out
    assert run(["quantize", "wide@1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {"kept_parent", "speedup", "candidates", "digest"} <= set(shown)
    assert run(["compile", "wide@1", "min_speedup=100", "precisions=fp32", "backend=onnxruntime"]) == 0
    assert "no gain: `wide@1` stays" in capsys.readouterr().out
    page = (Path(shown["path"]) / "report.html").read_text(encoding="utf-8")
    assert "int8_static" in page
    assert "speed-up" in page
