"""Which of the candidates that were tried is worth having."""

from __future__ import annotations

import pytest

from mltool.artifacts.checks import Check
from mltool.runtimes.candidate import Candidate, Tried
from mltool.variants.choose import fastest, pays


def tried(precision: str, speedup: float | None, *, outcome: str = "passed", size_mib: float = 1.0) -> Tried:
    options = {"precision": "bf16"} if precision == "bf16" else {}
    candidate = Candidate("onnxruntime", "fp32" if precision == "bf16" else precision, options=options)
    latency_ms = None if speedup is None else 1 / speedup
    return Tried(candidate, outcome, latency_ms=latency_ms, speedup=speedup, size_mib=size_mib)


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        ([("fp32", 1.5), ("bf16", 1.6), ("int8_static", 1.64)], ("fp32", 1.5)),
        ([("fp32", 1.5), ("bf16", 1.6), ("int8_static", 1.7)], ("int8_static", 1.7)),
        ([("fp32", 1.5), ("bf16", 1.8), ("int8_static", 1.9)], ("bf16", 1.8)),
        ([("int8_static", 2.0), ("fp32", 1.5), ("bf16", 1.6)], ("int8_static", 2.0)),
        ([("fp32", 1.2), ("fp32", 1.25)], ("fp32", 1.25)),
        ([("fp32", 1.05), ("int8_static", 1.2)], ("int8_static", 1.2)),
        ([("fp32", 1.05), ("bf16", 1.09)], None),
        ([("fp32", None)], None),
        ([], None),
    ],
)
def test_the_fastest_wins_unless_a_simpler_precision_is_nearly_as_fast(
    candidates: list[tuple[str, float | None]], best: tuple[str, float] | None
) -> None:
    found = fastest([tried(*one) for one in candidates])
    assert (found and (found.candidate.precision, found.speedup)) == best


def test_what_failed_a_check_is_never_chosen() -> None:
    failed = tried("int8_static", 9.0, outcome="failed")
    assert fastest([failed, tried("fp32", 1.2)]) == tried("fp32", 1.2)
    assert fastest([failed]) is None


@pytest.mark.parametrize(
    ("speedup", "size_mib", "worth"),
    [(1.2, 1.0, True), (1.0, 0.95, False), (0.7, 0.5, True), (1.05, 1.0, False), (1.1, 1.0, True), (0.5, 0.9, True)],
)
def test_a_variant_pays_by_its_speed_or_by_its_size(speedup: float, size_mib: float, worth: bool) -> None:
    assert pays(tried("int8_static", speedup, size_mib=size_mib), tried("fp32", 1.0, outcome="kept")) is worth


def test_a_candidate_says_what_it_is_and_how_it_runs() -> None:
    one = Candidate("openvino", threads=2, options={"precision": "bf16"})
    assert one.name == "openvino bf16, 2 threads"
    assert one.run() == {"backend": "openvino", "threads": 2, "options": {"precision": "bf16"}}
    assert Candidate("onnxruntime", threads=0).name == "onnxruntime fp32, all cores"
    assert Candidate("onnxruntime", threads=0).run()["threads"] is None
    assert len({one, Candidate("openvino", threads=2), Candidate("openvino", threads=1)}) == 3


def test_what_was_tried_is_plain_data() -> None:
    shown = Tried(Candidate("onnxruntime", "int8_static"), "failed", (Check.failed("finite", "x"),), reason="`finite`")
    assert shown.to_json()["checks"][0]["status"] == "failed"
    assert shown.to_json()["name"] == "onnxruntime int8_static, 1 thread"
