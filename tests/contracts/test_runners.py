from __future__ import annotations

import contextlib
import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest
from runner_contract import RunnerContract

import mltool
from mltool.core.errors import ArtifactError, ConfigError
from mltool.runtimes.config import backends
from mltool.runtimes.runner import Runner, load, run_all
from mltool.runtimes.samples import SAMPLES, Samples

pytestmark = pytest.mark.xdist_group("runners")
INSTALLED = [name for name in backends.names() if name != "openvino" or find_spec("openvino")]


@pytest.fixture(scope="session")
def table_model(tmp_path_factory: pytest.TempPathFactory) -> mltool.Model:
    """A regression with two inputs: numbers, some of them missing, and categories, some of them unknown."""
    folder = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(0)
    lines = ["size,weight,kind,price"]
    for i in range(120):
        kind, size = "abc"[i % 3], random.normal(3, 1)
        weight = "" if i % 7 == 0 else f"{random.normal(50, 9):.3f}"
        lines.append(f"{size:.3f},{weight},{kind},{1000 + 200 * size + 100 * (i % 3):.3f}")
    (folder / "table.csv").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.delenv("MLTOOL_HOME", raising=False)
        return mltool.train("data.source=table.csv", epochs=3, name="table")


class TableContract(RunnerContract):
    backend: str

    @pytest.fixture
    def samples(self, table_model: mltool.Model) -> Samples:
        return Samples.load(table_model.path / SAMPLES)

    @pytest.fixture
    def runner(self, table_model: mltool.Model) -> Runner:
        return load(table_model, self.backend, threads=1)

    def test_missing_numbers_and_unknown_categories_have_answers(self, runner: Runner) -> None:
        inputs = {"numbers": np.full((1, 2), np.nan, np.float32), "categories": np.zeros((1, 1), np.int64)}
        assert np.isfinite(runner.run(inputs)["prediction"]).all()


class TestOnnxRuntime(TableContract):
    backend = "onnxruntime"


class TestTorch(TableContract):
    backend = "torch"


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO (extra `openvino`) is not installed")
class TestOpenVino(TableContract):
    backend = "openvino"


def test_all_runtimes_are_held_to_the_contract() -> None:
    tested = {cls.backend for cls in TableContract.__subclasses__()}
    assert tested == set(backends.names())


def test_all_runtimes_give_the_same_answers(table_model: mltool.Model) -> None:
    inputs = Samples.load(table_model.path / SAMPLES).inputs
    first, *others = (run_all(load(table_model, name), inputs, 7) for name in INSTALLED)
    for other in others:
        for name, expected in first.items():
            assert np.allclose(other[name], expected, rtol=1e-5)


def test_predicting_and_evaluating_take_any_runtime(table_model: mltool.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(table_model.path.parents[2])
    record = {"size": 3.0, "weight": None, "kind": "b"}
    answers = [table_model.predict([record], backend=name)[0]["prediction"] for name in INSTALLED]
    assert answers == pytest.approx([answers[0]] * len(answers))
    metrics = [table_model.evaluate(backend=name).metrics["rmse"] for name in INSTALLED]
    assert metrics == pytest.approx([metrics[0]] * len(metrics))


def test_an_unknown_runtime_names_the_nearest(table_model: mltool.Model) -> None:
    with pytest.raises(ConfigError, match="unknown backend `onnxruntim`") as caught:
        load(table_model, "onnxruntim")
    assert caught.value.hint == "did you mean `onnxruntime`?"


def test_a_model_without_a_usable_signature_is_refused(table_model: mltool.Model) -> None:
    bare = dataclasses.replace(table_model, manifest=dataclasses.replace(table_model.manifest, signature={}))
    with pytest.raises(ArtifactError, match="`table@1` has no usable signature"):
        load(bare)
