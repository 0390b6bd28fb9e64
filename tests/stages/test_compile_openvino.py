"""CNNs compiled for OpenVINO, with every precision that it has here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import mltool
from mltool.artifacts.checks import CheckStatus
from mltool.core import host
from mltool.runtimes.candidate import Tried
from mltool.runtimes.runner import candidate_of, load
from mltool.runtimes.samples import SAMPLES, Samples

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO (extra `openvino`) is not installed"),
]

LIMITS = {"fp32": 1e-4, "bf16": 2e-2, "int8_static": 0.15}
HAS_BF16 = bool({"amx_bf16", "avx512_bf16"} & set(host.cpu_flags()))


def limit_of(one: Tried) -> float | None:
    return next(check.limit for check in one.checks if check.id == "relative_error")


def enlarged_digits() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.kron(digits.images / 16, np.ones((1, 4, 4))).astype(np.float32)[:, None]
    return {"train_images": images[:1400], "train_labels": digits.target[:1400],
            "test_images": images[1400:], "test_labels": digits.target[1400:]}  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("seed", range(2))
def test_every_precision_of_a_cnn_is_verified_by_its_own_limit_and_the_best_answers(
    seed: int, batch_size: int, tmp_path: Path
) -> None:
    np.savez("digits.npz", **enlarged_digits())
    options = ("data.source=digits.npz", "model.name=cnn", "model.args.hidden=64")
    model = mltool.train(*options, epochs=3, seed=seed, name="cnn")
    variant = mltool.compile_model("cnn@1", "backend=openvino", f"batch_size={batch_size}", "min_speedup=1.0")
    kept, *tried = variant.tried
    assert kept.candidate == candidate_of(model)
    assert {one.candidate.precision for one in tried} == {name for name in LIMITS if name != "bf16" or HAS_BF16}
    for one in tried:
        assert one.outcome in ("passed", "chosen"), f"{one.candidate.name}: {one.reason}"
        assert limit_of(one) == LIMITS[one.candidate.precision]
        assert {check.status for check in one.checks} == {CheckStatus.passed}
        assert one.latency_ms
    if variant.kept_parent:  # on a busy machine; else it is the faster by far
        return
    made = mltool.load("cnn@2")
    assert candidate_of(made) == variant.chosen.candidate
    assert made.metrics["accuracy"] == pytest.approx(model.metrics["accuracy"], abs=0.02)
    samples = Samples.load(model.path / SAMPLES)
    answers = load(made).run(samples.inputs)["probabilities"]
    assert np.mean(answers.argmax(1) == samples.outputs["probabilities"].argmax(1)) >= 0.98
    own, float_one = mltool.profile("cnn@2", "cnn@1", batch_sizes=batch_size, duration_s=0.1).profiles
    assert (own.backend, float_one.backend) == ("openvino", "onnxruntime")
