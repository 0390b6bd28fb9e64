"""How a model is run, and how far its answers may then differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mltool.artifacts.artifact import Artifact
from mltool.core import host
from mltool.runtimes.candidate import Candidate
from mltool.runtimes.runner import Signature, candidate_of, unfinished
from mltool.runtimes.schemes._scheme import limits_of
from mltool.runtimes.verify import Limits


def model(run: dict[str, Any]) -> Artifact:
    return unfinished(Path("model"), Signature((), ()), run)


COMPILED = model({"backend": "openvino", "threads": 3, "options": {"precision": "bf16"}})


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (candidate_of(model({})), "onnxruntime fp32, all cores"),
        (candidate_of(model({}), threads=2), "onnxruntime fp32, 2 threads"),
        (candidate_of(COMPILED), "openvino bf16, 3 threads"),
        (candidate_of(COMPILED, threads=1), "openvino bf16, 1 thread"),
        (candidate_of(COMPILED, "openvino"), "openvino bf16, 3 threads"),
        (candidate_of(COMPILED, "onnxruntime"), "onnxruntime fp32, all cores"),
    ],
)
def test_a_model_runs_as_it_was_compiled_and_elsewhere_as_is_usual_there(found: Candidate, name: str) -> None:
    assert found.name == name


def test_all_cores_are_as_many_threads_as_there_are_cores() -> None:
    cores = host.num_cores()
    assert Candidate("onnxruntime", threads=0).is_run_as(Candidate("onnxruntime", threads=cores))
    assert not Candidate("onnxruntime", threads=0).is_run_as(Candidate("onnxruntime", threads=cores + 1))
    assert not Candidate("onnxruntime", threads=0).is_run_as(Candidate("onnxruntime", "int8_static", cores))
    assert not Candidate("openvino").is_run_as(Candidate("openvino", options={"precision": "bf16"}))


def test_a_float_graph_may_differ_as_its_precision_does_and_another_as_its_scheme_does() -> None:
    bf16 = Candidate("openvino", options={"precision": "bf16"})
    assert limits_of(Candidate("openvino")) == Limits()
    assert limits_of(bf16).relative_error == 2e-2
    assert limits_of(bf16).class_agreement == Limits().class_agreement
    assert limits_of(Candidate("openvino", "int8_static")).relative_error == 0.15
    assert limits_of(Candidate("openvino", "int8_static", options={"precision": "bf16"})).relative_error == 0.15
    assert limits_of(Candidate("new", options={"precision": "unheard_of"})) == Limits(), (
        "strict until it says otherwise"
    )
