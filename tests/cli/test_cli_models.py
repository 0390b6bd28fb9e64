from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_testing import FAILED, Mltool

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.records.deployment import Live
from mltool.records.ledger import Ledger

Make = Callable[..., Artifact]


def parent(artifact: Artifact, role: str) -> Parent:
    return Parent(role, artifact.kind, artifact.digest, artifact.ref)


def test_an_empty_store_says_what_to_do_and_prints_no_data(mltool: Mltool) -> None:
    outcome = mltool("models", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "mltool train" in outcome.err


def test_the_list_names_every_model_with_metrics_and_checks_in_words(mltool: Mltool, make_model: Make) -> None:
    make_model()
    failed = make_model(checks=FAILED, accuracy=0.5)
    out = mltool("models", "list").out
    assert "digits@1" in out
    assert "accuracy 0.97" in out
    assert "1 passed, 1 not run" in out
    assert failed.digest[:12] in out
    assert "failed: export" in out


def test_the_list_in_json_is_one_object(mltool: Mltool, make_model: Make) -> None:
    model = make_model()
    (row,) = json.loads(mltool("models", "list", "--json").out)["models"]
    assert (row["ref"], row["digest"], row["path"]) == ("digits@1", model.digest, str(model.path))
    assert row["metrics"]["accuracy"] == 0.97
    assert row["state"] == "here"


def test_the_quiet_list_is_one_path_a_line(mltool: Mltool, make_model: Make) -> None:
    paths = {str(make_model(accuracy=accuracy).path) for accuracy in (0.5, 0.6)}
    assert set(mltool("models", "list", "-q").out.splitlines()) == paths


def test_a_name_whose_files_are_elsewhere_is_listed_as_such(mltool: Mltool, make_model: Make) -> None:
    shutil.rmtree(make_model().path)
    assert "only its name is here" in mltool("models", "list").out


def test_a_damaged_model_is_listed_and_warned_of(mltool: Mltool, make_model: Make) -> None:
    model = make_model()
    (model.path / "artifact.json").write_text("{}", encoding="utf-8")
    outcome = mltool("models", "list")
    assert outcome.code == 0
    assert "damaged" in outcome.out
    assert model.path.name in outcome.err


def test_one_damaged_pointer_file_does_not_hide_the_other_models(
    mltool: Mltool, make_model: Make, store: Store
) -> None:
    make_model()
    (store.root / "refs" / "model" / "broken.json").write_text("{", encoding="utf-8")
    outcome = mltool("models", "list")
    assert outcome.code == 0
    assert "digits@1" in outcome.out
    assert "broken.json` is damaged" in outcome.err
    assert "git checkout" in outcome.err


@pytest.mark.parametrize("change", ["missing", "cut"])
def test_a_model_that_lost_a_file_is_listed_as_damaged(mltool: Mltool, make_model: Make, change: str) -> None:
    weights = make_model().path / "weights.safetensors"
    if change == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-1])
    assert "damaged" in mltool("models", "list").out
    assert json.loads(mltool("models", "list", "--json").out)["models"][0]["state"] == "damaged"


def test_show_tells_metrics_intervals_checks_ancestors_and_proof(
    mltool: Mltool, make_model: Make, make_dataset: Make, store: Store
) -> None:
    data = make_dataset()
    base = make_model(parents=[parent(data, "data")])
    model = make_model(accuracy=0.98, parents=[parent(base, "float model")])
    store.attest(model, "profile", metrics={"throughput": 120.0}, checks=[Check.at_most("latency_p99_ms", 4.0, 5.0)])
    out = mltool("models", "show", "digits@2").out
    for expected in (
        "0.96 to 0.99",
        "95% interval",
        "export_difference",
        "passed",
        "not run",
        "no perturbed samples",
        "float model: model digits@1",
        "data: dataset digits@1",
        "attestation `profile`",
        "latency_p99_ms",
        "mltool evaluate digits@2",
    ):
        assert expected in out


def test_show_in_json_is_the_artifact_with_its_ancestors_and_attestations(
    mltool: Mltool, make_model: Make, make_dataset: Make, store: Store
) -> None:
    data = make_dataset()
    model = make_model(parents=[parent(data, "data")])
    proof = store.attest(model, "profile")
    shown = json.loads(mltool("models", "show", "digits", "--json").out)
    assert {key: shown[key] for key in model.to_json()} == json.loads(json.dumps(model.to_json()))
    assert shown["ancestors"][0]["digest"] == data.digest
    assert shown["attestations"][0]["digest"] == proof.digest


def test_show_quiet_is_the_path_alone(mltool: Mltool, make_model: Make) -> None:
    model = make_model()
    outcome = mltool("models", "show", "latest", "--quiet")
    assert outcome.out == f"{model.path}\n"
    assert outcome.err == ""


def test_an_unknown_model_exits_with_3(mltool: Mltool, make_model: Make) -> None:
    make_model()
    outcome = mltool("models", "show", "digits@7")
    assert outcome.code == 3
    assert "`digits@7`" in outcome.err


def test_compare_shows_differences_of_metrics_and_config(mltool: Mltool, make_model: Make) -> None:
    make_model(accuracy=0.5, config={"train": {"lr": 0.1, "epochs": 3}})
    make_model(accuracy=0.75, config={"train": {"lr": 0.2, "epochs": 3}})
    out = mltool("models", "compare", "digits@1", "digits@2").out
    assert "+0.25 (+50.0%)" in out
    assert "train.lr" in out
    assert "train.epochs" not in out


def test_compare_in_json_holds_both_models_and_each_difference(mltool: Mltool, make_model: Make) -> None:
    make_model(accuracy=0.5)
    make_model(accuracy=0.75, num_bytes=4096)
    shown = json.loads(mltool("models", "compare", "digits@1", "digits@2", "--json").out)
    assert shown["metrics"]["accuracy"] == {"a": 0.5, "b": 0.75, "difference": 0.25}
    assert shown["size_bytes"]["difference"] == 2048
    assert shown["a"]["ref"] == "digits@1"


def test_rm_without_a_terminal_needs_yes(mltool: Mltool, make_model: Make) -> None:
    model = make_model()
    outcome = mltool("models", "rm", "digits@1")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert model.path.is_dir()


def test_rm_deletes_the_model_and_its_name(mltool: Mltool, make_model: Make) -> None:
    model = make_model()
    outcome = mltool("models", "rm", "digits@1", "--yes", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["names"] == ["digits@1"]
    assert not model.path.exists()
    assert mltool("models", "show", "digits@1").code == 3


def test_gc_with_dry_run_only_lists(mltool: Mltool, make_model: Make) -> None:
    failed = make_model(checks=FAILED)
    outcome = mltool("models", "gc", "--dry-run", "--json")
    assert json.loads(outcome.out)["garbage"] == [str(failed.path)]
    assert failed.path.is_dir()


def test_gc_without_a_terminal_needs_yes(mltool: Mltool, make_model: Make) -> None:
    failed = make_model(checks=FAILED)
    assert mltool("models", "gc").code == 2
    assert failed.path.is_dir()


def test_gc_deletes_what_has_no_name_and_keeps_the_rest(mltool: Mltool, make_model: Make) -> None:
    kept, failed = make_model(), make_model(checks=FAILED, accuracy=0.1)
    assert mltool("models", "gc", "--yes").code == 0
    assert kept.path.is_dir()
    assert not failed.path.exists()


def test_gc_of_a_clean_store_has_nothing_to_do(mltool: Mltool, make_model: Make) -> None:
    make_model()
    outcome = mltool("models", "gc")
    assert (outcome.code, outcome.out) == (0, "")
    assert "nothing to delete" in outcome.err


@pytest.mark.parametrize("command", [("rm",), ("show",), ("compare", "one")])
def test_a_missing_reference_is_named(mltool: Mltool, command: tuple[str, ...]) -> None:
    outcome = mltool("models", *command)
    assert outcome.code == 2
    assert "is missing" in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("answer", "is_kept"), [("n", True), ("y", False), ("", True)])
def test_on_a_terminal_rm_asks(project: Path, make_model: Make, answer: str, is_kept: bool) -> None:
    import pty

    model = make_model()
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "mltool", "models", "rm", "digits@1"]
    process = subprocess.Popen(command, stdin=follower, stdout=subprocess.PIPE, stderr=follower, text=True)
    os.close(follower)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(leader, 4096)
    os.write(leader, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=30)
    os.close(leader)
    assert process.returncode == 0
    assert b"digits@1" in seen
    assert out == ""
    assert model.path.is_dir() is is_kept


def test_compare_says_when_the_metrics_are_of_different_data(mltool: Mltool, make_model: Make) -> None:
    data = [Parent("data", ArtifactKind.dataset, letter * 64, None) for letter in "ab"]
    make_model("one", parents=data[:1])
    make_model("two", parents=data[1:], config={"train": {"lr": 0.5}})
    assert "not measured on the same data" in mltool("models", "compare", "one", "two").err
    assert "not measured on the same data" not in mltool("models", "compare", "one", "one").err


def test_a_name_whose_files_are_gone_can_be_taken_away(mltool: Mltool, make_model: Make) -> None:
    shutil.rmtree(make_model().path)
    refused = mltool("models", "show", "digits@1")
    assert refused.code == 3
    assert "`mltool models rm digits@1` takes the name away" in refused.err
    assert mltool("models", "rm", "digits@1", "--yes").code == 0
    assert mltool("models", "list").out == ""


def test_a_dataset_is_deleted_with_its_name(mltool: Mltool, make_dataset: Make) -> None:
    dataset = make_dataset()
    assert mltool("data", "rm", "digits@1").code == 2
    outcome = mltool("data", "rm", "digits@1", "--yes", "--json")
    assert json.loads(outcome.out)["names"] == ["digits@1"]
    assert not dataset.path.exists()


def test_a_deployed_model_is_neither_deleted_nor_garbage(mltool: Mltool, make_model: Make, store: Store) -> None:
    deployed, failed = make_model(), make_model(checks=FAILED, accuracy=0.5)
    ledger = Ledger(store.root)
    for name, model in (("shop", deployed), ("trial", failed)):
        with ledger.locked(name, target="local") as deployment:
            deployment.went_live(deployment.add_version(model, {}, ["export"]).number, Live())
    for arguments in (["digits@1"], [failed.digest]):
        outcome = mltool("models", "rm", *arguments, "--yes")
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.count("\n") <= 2
    assert "is deployed as `trial`" in outcome.err
    assert "mltool deploy stop trial" in outcome.err
    assert mltool("models", "gc", "--yes").code == 0
    assert (deployed.path.is_dir(), failed.path.is_dir()) == (True, True)
    with ledger.locked("shop") as deployment:
        deployment.stopped()
    assert mltool("models", "rm", "digits@1", "--yes").code == 0
    assert not deployed.path.exists()


def test_nothing_is_deleted_while_the_record_of_a_deployment_is_damaged(
    mltool: Mltool, make_model: Make, store: Store
) -> None:
    model, failed = make_model(), make_model(checks=FAILED, accuracy=0.5)
    folder = store.root / "deployments" / "shop"
    folder.mkdir(parents=True)
    (folder / "deployment.json").write_text("{}", encoding="utf-8")
    for arguments in (["rm", "digits@1", "--yes"], ["gc", "--yes"], ["gc", "--dry-run"]):
        outcome = mltool("models", *arguments)
        assert outcome.code == 3
        assert "deployment.json` is damaged" in outcome.err
    assert (model.path.is_dir(), failed.path.is_dir()) == (True, True)
