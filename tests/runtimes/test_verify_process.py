"""The checks run in a fresh process, and whatever happens to it is a failed check."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from verify_testing import SIGNATURE, WEIGHT, X, failed, graph, samples

from mltool.artifacts.checks import Check, CheckStatus
from mltool.runtimes.config import GRAPH
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.runtimes.verify import CHECK_IDS, Limits, verify_in_fresh_process


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(graph_bytes: bytes, given: Samples | None = None) -> Path:
        (tmp_path / GRAPH).write_bytes(graph_bytes)
        (given or samples()).save(tmp_path / SAMPLES)
        return tmp_path

    return make


@pytest.fixture
def startup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Code that every new interpreter runs before anything else."""

    def write(code: str) -> Path:
        (tmp_path / "startup").mkdir()
        path = tmp_path / "startup" / "sitecustomize.py"
        path.write_text(code)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(path.parent), os.environ.get("PYTHONPATH", "")]))
        return path.parent

    return write


def test_a_graph_is_verified_in_another_process_without_torch(
    folder: Callable[..., Path], startup: Callable[[str], Path]
) -> None:
    seen = startup(
        "import atexit, os, pathlib, sys\n"
        "if '-m' in sys.orig_argv and 'mltool.runtimes.verify' in sys.orig_argv:\n"
        "    trace = pathlib.Path(__file__).parent\n"
        "    atexit.register(lambda: (trace / f'{os.getpid()}.txt').write_text(' '.join(sys.modules)))\n"
    )
    checks = verify_in_fresh_process(folder(graph()), SIGNATURE, task="classification")
    assert [check.id for check in checks] == ["fresh_process", *CHECK_IDS]
    assert {check.status for check in checks} == {CheckStatus.passed}
    (trace,) = seen.glob("*.txt")
    assert int(trace.stem) != os.getpid()
    assert not {"torch", "scipy", "onnx", "pyarrow"} & set(trace.read_text().split())


def test_a_wrong_graph_fails_in_the_fresh_process_too(folder: Callable[..., Path]) -> None:
    checks = verify_in_fresh_process(folder(graph(-WEIGHT)), SIGNATURE, task="classification")
    assert failed({check.id: check for check in checks}) == {"relative_error", "class_agreement", "task_metric_drop"}


def test_limits_reach_the_fresh_process(folder: Callable[..., Path]) -> None:
    loose = Limits(relative_error=10.0, class_agreement=0.0, task_metric_drop=1.0)
    checks = verify_in_fresh_process(folder(graph(-WEIGHT)), SIGNATURE, loose, task="classification")
    assert not failed({check.id: check for check in checks})


@pytest.mark.parametrize("content", [b"", b"no graph", graph()[:-60]])
def test_a_graph_that_does_not_load_fails_and_the_rest_is_not_run(content: bytes, folder: Callable[..., Path]) -> None:
    first, *rest = verify_in_fresh_process(folder(content), SIGNATURE)
    assert (first.id, first.status) == ("fresh_process", CheckStatus.failed)
    assert first.detail.startswith("ONNX Runtime cannot load the graph: ")
    assert [(check.id, check.status) for check in rest] == [(name, CheckStatus.not_run) for name in CHECK_IDS]


def test_samples_that_cannot_be_read_fail_as_well(folder: Callable[..., Path]) -> None:
    path = folder(graph())
    (path / SAMPLES).write_bytes((path / SAMPLES).read_bytes()[:100])
    first, *_ = verify_in_fresh_process(path, SIGNATURE)
    assert first.status is CheckStatus.failed
    assert "samples.npz` cannot be read" in first.detail


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_process_that_crashes_is_a_failed_check(folder: Callable[..., Path], startup: Callable[[str], Path]) -> None:
    startup(
        "import os, signal, sys\nif 'mltool.runtimes.verify' in sys.orig_argv: os.kill(os.getpid(), signal.SIGSEGV)"
    )
    first, *rest = verify_in_fresh_process(folder(graph()), SIGNATURE, task="classification")
    assert first == Check.failed("fresh_process", "the process ended with -11")
    assert {check.status for check in rest} == {CheckStatus.not_run}


def test_a_process_that_raises_shows_its_last_line(folder: Callable[..., Path]) -> None:
    path = folder(graph())
    (path / SAMPLES).unlink()
    np.savez(path / SAMPLES, **{"input.x": X, "output.nothing": X})
    first, *_ = verify_in_fresh_process(path, SIGNATURE)
    assert first == Check.failed("fresh_process", "KeyError: 'nothing'")


def test_a_graph_that_takes_too_long_is_a_failed_check(
    folder: Callable[..., Path], startup: Callable[[str], Path]
) -> None:
    startup("import sys, time\nif 'mltool.runtimes.verify' in sys.orig_argv: time.sleep(60)")
    first, *_ = verify_in_fresh_process(folder(graph()), SIGNATURE, timeout_s=0.5)
    assert first == Check.failed("fresh_process", "the graph took longer than 0.5 s")


@pytest.mark.parametrize("name", ["queue.py", "numpy.py", "onnxruntime.py"])
def test_a_file_of_the_project_does_not_take_the_place_of_a_library(
    name: str, folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / name).write_text("raise RuntimeError('the project, not the library')\n")
    monkeypatch.chdir(project)
    checks = verify_in_fresh_process(folder(graph()), SIGNATURE, task="classification")
    assert {check.status for check in checks} == {CheckStatus.passed}
