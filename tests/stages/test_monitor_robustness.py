"""Robustness ladders of real models whose answer to damage is known."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from robustness_testing import QUICK, copy_of, rungs
from torch import nn

import mltool
from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.store import Store, open_store
from mltool.core.errors import ArtifactError, ConfigError, DataError
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.stages.monitor.ladder import Ladder
from small_models import linear_model
from user_project import project, said, write

__all__ = ["project", "said", "write"]
pytestmark = pytest.mark.xdist_group("robustness")

NETWORK = """
    import torch
    from torch import nn

    class Sign(nn.Module):
        '''Whether the first number is above its mean; the second is never looked at.'''
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, numbers):
            return self.layer(numbers)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a network whose weights were set by hand, and the table that it is right about."""
    folder = tmp_path_factory.mktemp("robustness")
    (folder / "known_nets.py").write_text(textwrap.dedent(NETWORK))
    random = np.random.default_rng(0)
    signal, idle = random.normal(size=(2, 2000))
    pairs = zip(signal, 10 * idle + 50, strict=True)
    rows = "".join(f"{a:.6f},{b:.6f},{'up' if a > 0 else 'down'}\n" for a, b in pairs)
    (folder / "table.csv").write_text(f"signal,idle,way\n{rows}")
    layer = {"layer.weight": torch.tensor([[-9.0, 0.0], [9.0, 0.0]]), "layer.bias": torch.zeros(2)}
    torch.save(layer, folder / "known.pt")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.syspath_prepend(str(folder))
        mltool.import_model("known.pt", "model.target=known_nets:Sign", "data.source=table.csv", name="known")
        yield folder
        sys.modules.pop("known_nets", None)


@pytest.fixture
def at_known(folder: Path) -> Iterator[Store]:
    with contextlib.chdir(folder):
        yield open_store()


@pytest.fixture(scope="module")
def known(folder: Path) -> Ladder:
    with contextlib.chdir(folder):
        return mltool.monitor.robustness("known", redraws=10).ladder


def test_the_ladder_is_measured_on_the_split_of_the_metrics(known: Ladder) -> None:
    assert (known.model, known.split, known.metric) == ("known@1", "test", "accuracy")
    assert known.num_rows == 400
    assert known.clean > 0.98
    assert known.windows == (10, 25, 50, 100, 200)
    assert known.false_alarms is not None
    assert known.false_alarms <= 0.3, "of 10 windows"


def test_a_column_that_the_model_does_not_use_costs_nothing(known: Ladder) -> None:
    for corruption in ("dead_column", "scaled_column", "tilted_column"):
        for rung in rungs(known, corruption, "idle"):
            assert rung.lost == 0
            assert rung.interval is not None
            assert rung.interval[0] < 0 < rung.interval[1] < 0.02
    assert rungs(known, "dead_column", "idle")[-1].noticed_after in (10, 25), "but it is noticed"


def test_a_dead_column_that_decides_costs_half_and_is_noticed_at_once(known: Ladder) -> None:
    *_, half, all_rows = rungs(known, "dead_column", "signal")
    assert all_rows.lost == pytest.approx(0.5, abs=0.06)
    assert half.lost == pytest.approx(0.25, abs=0.06)
    assert all_rows.noticed_after == 10
    assert all_rows in known.harmful
    assert all_rows not in known.silent


def test_stale_values_are_silent_and_harmful(known: Ladder) -> None:
    """Each column keeps its distribution, and the answers theirs: there is nothing to be seen, and much is wrong."""
    worst = rungs(known, "stale_values")[-1]
    assert worst.lost == pytest.approx(0.5, abs=0.08)
    assert worst.noticed_after is None
    assert worst == known.silent[0]
    assert known.finding.startswith(f"{len(known.silent)} of {len(known.rungs)} corruptions are silent and harmful")
    assert "stale values at severity 5 (100% of all values from another row)" in known.summary


def test_a_change_of_unit_that_no_answer_depends_on_is_noticed_all_the_same(known: Ladder) -> None:
    assert rungs(known, "scaled_column", "signal")[-1].lost < 0.02, "the sign stays"
    assert rungs(known, "scaled_column", "signal")[-1].noticed_after == 10


def test_an_answer_that_is_no_number_is_wrong(known: Ladder) -> None:
    """The network does not fill gaps, so it answers NaN."""
    lost = [rung.lost for rung in rungs(known, "missing_values")]
    assert lost == sorted(lost)
    assert lost[-1] == known.clean
    assert known.worst.corruption == "missing_values"


def test_the_same_seed_gives_the_same_ladder_and_one_attestation(at_known: Store) -> None:
    some = ("known", "corruptions=noisy_numbers,dead_column", "redraws=5", "windows=10,100", "max_rows=150")
    one, again = (mltool.monitor.robustness(*some) for _ in range(2))
    assert one.ladder == again.ladder
    assert one.attestation.digest == again.attestation.digest
    other = mltool.monitor.robustness(*some, "seed=1")
    assert other.ladder != one.ladder
    assert other.attestation.digest != one.attestation.digest


def test_the_ladder_is_attested_with_its_numbers_and_a_page(at_known: Store) -> None:
    result = mltool.monitor.robustness("known", corruptions=("stale_values",), windows=(50,), redraws=5)
    model = mltool.load("known")
    proof = at_known.attestations(model)[-1]
    assert proof.digest == result.attestation.digest
    assert proof.config["claim"] == "robustness"
    assert proof.checks == (), "it informs, and holds nothing up"
    assert proof.metrics["worst_accuracy"] == result.ladder.worst.value
    assert Ladder.from_json(proof.manifest.facts["robustness"]) == result.ladder
    page = (proof.path / REPORT).read_text(encoding="utf-8")
    assert proof.digest in page
    assert "stale values" in page
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("overrides", "error", "message", "hint"),
    [
        (
            ["corruptions=dead_colum"],
            ConfigError,
            "`monitor.corruptions` must be one of",
            "did you mean `dead_column`?",
        ),
        (["corruptions=jpeg"], ConfigError, "the corruption `jpeg` does not fit", "those that fit are dead_column"),
        (["corruptions="], None, "", ""),
        (["windows=5"], ConfigError, "`monitor.windows` must be at least 10, not `5`", None),
        (["max_rows=3"], ConfigError, "`monitor.max_rows` must be at least", None),
        (["columns=0"], ConfigError, "`monitor.columns` must be at least 1", None),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(
    at_known: Store, overrides: list[str], error: type[Exception] | None, message: str, hint: str | None
) -> None:
    before = at_known.manifests()
    if error is None:
        assert mltool.verbs.jobs.resolved("monitor robustness", overrides).config.monitor.corruptions is None
        return
    with pytest.raises(error) as caught:
        mltool.monitor.robustness("known", *overrides)
    assert message in caught.value.message  # type: ignore[attr-defined]
    assert hint is None or str(caught.value.hint).startswith(hint)  # type: ignore[attr-defined]
    assert at_known.manifests() == before


# Models that lack something -------------------------------------------------------------------------------------------


def without_labels(model: Artifact) -> bytes:
    path = Path("unlabelled.npz")
    dataclasses.replace(Samples.load(model.path / SAMPLES), target=None).save(path)
    return path.read_bytes()


def test_without_labels_the_share_of_answers_that_change_is_measured(at_known: Store, said: list[str]) -> None:
    model = mltool.load("known")
    copy_of(model, at_known, "unlabelled", samples_npz=without_labels(model))
    found = mltool.monitor.robustness("unlabelled", corruptions=("dead_column",), windows=(50,), redraws=5).ladder
    assert (found.metric, found.clean) == ("agreement", 1.0)
    assert rungs(found, "dead_column", "idle")[-1].lost == 0
    assert rungs(found, "dead_column", "signal")[-1].lost == pytest.approx(0.5, abs=0.06)
    assert any("has no labels: measured is how many answers change" in text for text in said)


def test_without_its_dataset_the_samples_that_it_carries_are_taken(
    at_known: Store, tmp_path: Path, said: list[str]
) -> None:
    elsewhere = tmp_path / "known"
    shutil.copytree(mltool.load("known").path, elsewhere)
    with contextlib.chdir(tmp_path):
        found = mltool.monitor.robustness(str(elsewhere), **QUICK).ladder
    assert (found.split, found.num_rows) == ("samples", 256)
    assert any("the 256 samples that the model carries are taken" in text for text in said)


def test_without_a_reference_it_is_not_known_when_drift_would_notice(store: Store, said: list[str]) -> None:
    model = linear_model(store, "whole")
    copy_of(model, store, "linear", reference_reference_npz=None, reference_reference_json=None)
    found = mltool.monitor.robustness("linear", **QUICK).ladder
    assert (found.windows, found.false_alarms, found.silent) == ((), None, [])
    assert {rung.noticed_after for rung in found.rungs} == {None}
    assert "num_silent_and_harmful" not in found.metrics()
    assert any("carries no reference, so it is not known when `drift` would notice" in text for text in said)


@pytest.mark.parametrize(
    ("file", "message"),
    [("reference_reference_npz", "differs from its digest"), ("samples_npz", "cannot be read")],
)
def test_a_damaged_model_is_refused(at_known: Store, file: str, message: str) -> None:
    made = copy_of(mltool.load("known"), at_known, "broken", **{file: b"no arrays at all"})
    with pytest.raises(ArtifactError, match=message):
        mltool.monitor.robustness("broken", **QUICK)
    at_known.remove(made)


def test_answers_that_are_not_finite_cannot_be_measured(store: Store) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        module[0].weight[:] = float("nan")
    with pytest.raises(mltool.errors.CheckError) as caught:
        mltool.save(module, torch.randn(40, 3), torch.arange(40) % 2, name="nan")
    kept = caught.value.artifact
    assert isinstance(kept, Artifact)
    with pytest.raises(DataError, match="answers that are not finite"):
        mltool.monitor.robustness(kept.digest[:12], **QUICK)


def test_a_model_that_takes_whole_numbers_only_fits_no_corruption(store: Store) -> None:
    module = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 2))
    mltool.save(module, torch.randint(0, 10, (60, 3)), torch.arange(60) % 2, name="tokens")
    with pytest.raises(ConfigError, match="no corruption fits the inputs of `tokens@1`"):
        mltool.monitor.robustness("tokens")


def test_too_few_rows_are_no_window(store: Store, said: list[str]) -> None:
    module = nn.Sequential(nn.Linear(3, 2))
    x = torch.randn(11, 3)
    mltool.save(module, x, module(x).argmax(1), name="few")
    assert mltool.monitor.robustness("few", **QUICK).ladder.windows == ()
    assert any("it is not known when `drift` would notice" in text for text in said)


def test_a_model_of_one_class_never_errs(store: Store) -> None:
    module = nn.Sequential(nn.Linear(3, 1))
    mltool.save(module, torch.randn(100, 3), torch.zeros(100, dtype=torch.int64), name="one")
    found = mltool.monitor.robustness("one", **QUICK).ladder
    assert found.clean == 1.0
    assert {rung.lost for rung in found.rungs} == {0.0}
    assert found.summary.startswith("none of 5 corruptions costs accuracy")
