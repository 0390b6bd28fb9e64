"""What mltool recorded itself is evidence as well: models, variants, proof, deployments."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from checklist_project import FILES, Files, write_whole_project

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.records.deployment import Live
from mltool.records.ledger import Ledger
from mltool.stages.checklist.project import Project
from mltool.stages.checklist.stage import audit


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A folder with nothing but a store."""
    return Files(tmp_path)


def make(
    store: Store,
    kind: ArtifactKind = ArtifactKind.model,
    *,
    name: str | None = "corn",
    made_by: str = "train",
    parents: tuple[Parent, ...] = (),
    config: Mapping[str, Any] | None = None,
) -> Artifact:
    with store.draft(kind) as draft:
        draft.path("weights.safetensors").write_bytes(made_by.encode())
        metrics = {"accuracy": 0.9, "latency_ms": 1.5, "size_mib": 2.0}
        return draft.commit(
            name,
            config=config or {},
            parents=parents,
            metrics=metrics,
            facts={"made_by": made_by},
            weights="weights.safetensors",
        )


def verdict(files: Files, item: str) -> str:
    return files.judge(item).verdict.value


def test_a_model_shows_that_it_was_trained_without_boilerplate(files: Files, store: Store) -> None:
    assert verdict(files, "model-train") == "missing"
    model = make(store)
    assert f"`{model.digest[:12]}`" in files.judge("model-train").evidence
    assert (verdict(files, "model-train"), verdict(files, "lightning"), verdict(files, "onnx")) == (
        "done",
        "done",
        "partly",
    )


def test_a_dataset_shows_that_data_was_made(files: Files, store: Store) -> None:
    make(store, ArtifactKind.dataset)
    assert verdict(files, "make-dataset") == "done"


@pytest.mark.parametrize("verb", ["quantize", "compile"])
def test_a_variant_counts_with_its_figures_beside_its_parent(files: Files, store: Store, verb: str) -> None:
    base = make(store)
    assert verdict(files, verb) == "missing"
    make(store, made_by=verb, parents=(Parent("float model", ArtifactKind.model, base.digest),))
    found = files.judge(verb)
    assert (found.verdict.value, found.evidence.endswith("accuracy 0.9; latency_ms 1.5; size_mib 2")) == ("done", True)


@pytest.mark.parametrize("verb", ["quantize", "compile"])
def test_a_search_in_which_nothing_paid_counts_too(files: Files, store: Store, verb: str) -> None:
    store.attest(make(store), verb, facts={"candidates": [{}, {}]})
    assert "2 candidates were measured" in files.judge(verb).evidence
    assert verdict(files, verb) == "done"


@pytest.mark.parametrize(
    ("item", "claim"),
    [
        ("profiling", "profile"),
        ("docker", "docker"),
        ("docker-build", "docker"),
        ("drift", "robustness"),
        ("drift", "drift"),
        ("model-monitor", "performance"),
        ("loadtest", "loadtest"),
        ("dist-data", "bench"),
    ],
)
def test_proof_that_came_later_counts(files: Files, store: Store, item: str, claim: str) -> None:
    model = make(store)
    assert verdict(files, item) == "missing"
    store.attest(model, claim, metrics={"image_size_mib": 100.0})
    assert verdict(files, item) == "done"


def test_an_image_that_nothing_built_is_half_of_it(files: Files, store: Store) -> None:
    files.write("Dockerfile", "FROM a\nRUN pip install corn\nCMD python\n")
    model = make(store)
    for claim in ("profile", "quantize", "robustness"):  # proof of something else
        store.attest(model, claim, metrics={"image_size_mib": 100.0})
    assert (verdict(files, "docker"), verdict(files, "docker-build")) == ("done", "partly")


def test_a_robustness_report_of_an_older_model_is_half_of_it(files: Files, store: Store) -> None:
    store.attest(make(store), "robustness")
    time.sleep(1.1)  # of which manifests keep the second
    make(store, made_by="import")
    assert verdict(files, "drift") == "partly"


def test_old_figures_of_the_performance_are_not_recent(
    files: Files, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.attest(make(store), "performance")
    monkeypatch.setattr("mltool.stages.checklist.items.watch.MAX_AGE_DAYS", -1)
    assert "days old" in files.judge("model-monitor").evidence


def test_several_processes_are_in_the_config_of_a_run(files: Files, store: Store) -> None:
    make(store, config={"train": {"processes": 2}})
    assert verdict(files, "dist-train") == "done"


def test_a_run_of_ours_that_was_tracked_counts(files: Files, store: Store) -> None:
    make(store)
    assert verdict(files, "wandb") == "partly"
    files.write(".mltool/runs/1/wandb/offline-run-20261126_080000-abc/run-abc.wandb", "x")
    assert verdict(files, "wandb") == "done"


@pytest.mark.parametrize(
    ("item", "target", "expected"),
    [
        ("api", "local", "done"),
        ("frontend", "local", "done"),
        ("system-metrics", "local", "done"),
        ("onnx", "local", "done"),
        ("torchserve", "torchserve", "done"),
        ("torchserve", "local", "partly"),
        ("deploy-gcp", "gcp", "done"),
        ("deploy-gcp", "local", "missing"),
    ],
)
def test_a_deployment_that_answered_counts(files: Files, store: Store, item: str, target: str, expected: str) -> None:
    model, ledger = make(store), Ledger(store.root)
    with ledger.locked("shop", target=target) as deployment:
        number = deployment.add_version(model, {}).number
    before = verdict(files, item)
    with ledger.locked("shop") as deployment:
        deployment.went_live(number, Live(url="http://127.0.0.1:1"))
    assert (before in ("missing", "partly"), verdict(files, item)) == (True, expected)


def test_a_deployment_to_stand_ins_is_half_of_one_on_gcp(files: Files, store: Store) -> None:
    model, ledger = make(store), Ledger(store.root)

    def deploy(emulator: str | None) -> None:
        with ledger.locked("shop", target="gcp") as deployment:
            number = deployment.add_version(model, {"emulator": emulator}).number
            deployment.went_live(number, Live(url="http://127.0.0.1:1"))

    deploy("127.0.0.1:9090")
    found = files.judge("deploy-gcp")
    assert (found.verdict.value, found.evidence.endswith("; only against stand-ins")) == ("partly", True)
    assert verdict(files, "api") == "done"  # it did answer
    deploy(None)
    assert verdict(files, "deploy-gcp") == "done"
    deploy("127.0.0.1:9090")
    assert "version 2" in files.judge("deploy-gcp").evidence


def test_what_mltool_wrote_is_not_the_work_of_the_project(files: Files) -> None:
    image = ".mltool/gcp/images/digits-0123/context"
    for folder in (image, ".mltool/artifacts/0123456789ab", ".mltool/runs/1", "examples/.mltool/gcp"):
        for name, text in FILES.items():
            files.write(f"{folder}/{name}", text)
    project = Project(files.root)
    assert (project.files, project.folders) == ({}, set())
    assert not [path for path in project.records if path.startswith((image, "examples"))]
    assert {
        one.item.id: one.finding.evidence for one in audit(files.root).judged if one.finding.verdict == "done"
    } == {}


def test_a_store_that_is_a_link_is_not_followed(files: Files, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = tmp_path_factory.mktemp("away")
    Files(away).write("refs/model/corn.json", "{}")
    (files.root / ".mltool").symlink_to(away)
    assert Project(files.root).records == {}


def test_a_manifest_that_was_edited_is_a_problem_and_no_evidence(files: Files, store: Store) -> None:
    model = make(store)
    path = model.path / "artifact.json"
    path.chmod(0o600)
    path.write_text(path.read_text(encoding="utf-8").replace("0.9", "0.99"), encoding="utf-8")
    for name in store.refs.folder.glob("*/*.json"):
        name.unlink()
    assert verdict(files, "model-train") == "missing"


def test_a_section_of_the_config_file_counts_as_configuration(files: Files, store: Store) -> None:
    files.write("mltool.yaml", "version: 1\ntrain:\n  lr: 0.1\n")
    assert (verdict(files, "hydra"), verdict(files, "config")) == ("done", "partly")
    make(store)
    make(store, made_by="import")
    assert verdict(files, "config") == "done"


TRIAL = '{"op_code":6,"trial_id":0,"state":1,"values":[0.5],"datetime_complete":"2026-11-26T08:28:28"}\n'


def write_study(files: Files, journal: str) -> None:
    files.write(".mltool/studies/corn-1/study.json", '{"parts": {}, "created_utc": "2026-11-26T08:28:27+00:00"}')
    files.write(".mltool/studies/corn-1/journal.log", journal)


@pytest.mark.parametrize(
    "journal",
    ["", '{"op_code":4,"study_id":0}\n', TRIAL.replace('"state":1', '"state":3'), TRIAL[:-9], f"[{TRIAL.strip()}]\n"],
)
def test_a_study_without_a_finished_trial_is_half_of_it(files: Files, journal: str) -> None:
    write_study(files, journal)
    found = files.judge("sweep")
    assert (found.verdict.value, found.evidence) == ("partly", "study `corn-1` in `.mltool`; no trial was finished")


def test_an_empty_folder_of_a_study_is_none(files: Files) -> None:
    files.write(".mltool/studies/corn-1/search.lock", "")
    assert verdict(files, "sweep") == "missing"


def test_trials_are_counted_once(files: Files) -> None:
    write_study(files, TRIAL * 2 + TRIAL.replace('"trial_id":0,"state":1', '"trial_id":1,"state":2'))
    assert files.judge("sweep").evidence == "study `corn-1` of 2 trials in `.mltool`"


def test_a_study_and_a_remote_of_ours_count(files: Files) -> None:
    write_study(files, TRIAL)
    files.write(".mltool/refs/remote/0123456789ab.dvc", "outs:\n- md5: 00000000000000000000000000000000.dir\n")
    assert (verdict(files, "sweep"), verdict(files, "data-version"), verdict(files, "gcs")) == (
        "done",
        "partly",
        "missing",
    )
    files.write("mltool.yaml", "version: 1\ndata:\n  remote: gs://corn/data\n")
    assert (verdict(files, "data-version"), verdict(files, "gcs")) == ("done", "done")


def test_labels_without_figures_are_half_of_watching_a_model(files: Files) -> None:
    files.write(".mltool/deployments/shop/predictions/labels.jsonl", "{}\n")
    files.write(".mltool/deployments/shop/predictions/1.log", "x")
    assert (verdict(files, "model-monitor"), verdict(files, "collect-io")) == ("partly", "done")


@pytest.mark.parametrize("item", ["quantize", "compile", "dist-train", "torchserve"])
def test_what_speaks_of_networks_does_not_apply_to_trees(files: Files, item: str) -> None:
    files.write("train.py", "import xgboost\nmodel = xgboost.XGBClassifier()\nmodel.fit([[1]], [1])\n")
    assert verdict(files, item) == "not_applicable"
    write_whole_project(files.root)
    assert verdict(files, item) != "not_applicable"


def test_a_notebook_is_read_as_code(files: Files) -> None:
    lines = ["%matplotlib inline\n", "import torch\n", "torch.compile(1)"]
    files.write("train.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": lines}]}))
    assert "train.ipynb:2" in files.judge("compile").evidence


def test_an_image_may_take_what_mltool_or_a_build_wrote(files: Files) -> None:
    files.write(".mltool/gcp/model.onnx", "x")
    files.write("dist/corn-1-py3-none-any.whl", "x")
    files.write("Dockerfile", "FROM a\nCOPY .mltool/gcp/model.onnx dist/corn-1-py3-none-any.whl ./\nCMD python\n")
    assert verdict(files, "docker") == "done"
    files.write("Dockerfile", f"FROM a\nCOPY {'x' * 5000} ./\nCMD python\n")
    assert verdict(files, "docker") == "partly"
