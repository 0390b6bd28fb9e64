"""Artifacts are written whole or not at all, and what equals another is kept once."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from artifact_testing import FILES, commit

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, MltoolError

MODEL = ArtifactKind.model


def test_a_committed_artifact_is_what_was_written(store: Store) -> None:
    parent = Parent("data", ArtifactKind.dataset, "ab" * 32, "corn@1")
    made = commit(store, parents=[parent], metrics={"accuracy": 1, "gap": float("nan")}, facts={"host": {"cores": 2}})
    assert {name: (made.path / name).read_bytes() for name in FILES} == FILES
    assert made.path == store.artifacts / made.digest[:12]
    assert (made.manifest.parents, made.metrics) == ((parent,), {"accuracy": 1.0})
    assert Artifact.open(made.path).manifest == made.manifest
    assert list(store.staging.iterdir()) == []


def test_a_page_may_show_the_digest_of_its_artifact(store: Store) -> None:
    made = commit(store, pages={"page.html": lambda digest: f"<p>{digest}</p>"})
    assert (made.path / "page.html").read_text(encoding="utf-8") == f"<p>{made.digest}</p>"
    assert made.digest == Artifact.open(made.path).digest == commit(Store(store.root / "other")).digest


def test_an_equal_artifact_keeps_its_one_name(store: Store) -> None:
    first, again = commit(store), commit(store)
    assert (first.ref, again.ref, first.path) == ("digits@1", "digits@1", again.path)
    assert commit(store, "corn").ref == "corn@1"
    assert [ref for ref, _ in store.refs.all(MODEL)] == ["corn@1", "digits@1"]
    assert len(list(store.artifacts.iterdir())) == 1
    assert commit(store, config={"a": 2}).ref == "digits@2"


def test_a_damaged_artifact_is_replaced_by_a_whole_one(store: Store) -> None:
    made = commit(store)
    (made.path / "weights.bin").write_bytes(b"broken")
    (made.path / "more").touch()
    again = commit(store)
    assert again.ref == "digits@1"
    Artifact.open(again.path)
    assert list(store.staging.iterdir()) == []


def test_a_failed_artifact_is_replaced_by_an_equal_one_that_passed(store: Store) -> None:
    failed, passed = Check.failed("export", "the host was busy"), Check.passed("export")
    assert commit(store, checks=[failed]).ref is None
    again = commit(store, checks=[passed])
    assert (again.ref, again.has_failed_checks) == ("digits@1", False)
    assert not store.find("latest", MODEL).has_failed_checks
    assert commit(store, checks=[failed]).has_failed_checks is False  # proof that was given stays
    assert not store.find("latest", MODEL).has_failed_checks


@pytest.mark.parametrize("check", [Check.passed("export"), Check.failed("export", "broken")], ids=["passed", "failed"])
def test_an_equal_artifact_that_is_no_better_replaces_nothing(store: Store, check: Check) -> None:
    first, again = (commit(store, checks=[check], facts={"attempt": attempt}) for attempt in (1, 2))
    assert again.path == first.path
    assert again.manifest == Artifact.open(first.path).manifest == first.manifest


def test_an_interrupted_write_leaves_nothing_to_load(store: Store) -> None:
    with contextlib.suppress(KeyboardInterrupt), store.draft(MODEL) as draft:
        draft.path("weights.bin").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(store.artifacts.iterdir()) == list(store.staging.iterdir()) == []


def test_an_error_in_what_is_written_passes_unchanged(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.draft(MODEL):
        1 / 0  # noqa: B018
    missing = Path("missing")
    with pytest.raises(FileNotFoundError), store.draft(MODEL):
        missing.read_bytes()
    with pytest.raises(PermissionError), store.draft(MODEL):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/data.csv")  # no matter of the store's


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ENOSPC, "there is no space left"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EFBIG, "a file grew over the limit of the system"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "the folder cannot be written"),
        (errno.EPERM, "the folder cannot be written"),
        (errno.ENOTDIR, "a file stands where a folder is needed"),
    ],
)
def test_what_is_wrong_with_the_disk_is_said_in_words(store: Store, number: int, why: str) -> None:
    with pytest.raises(MltoolError, match=why) as caught, store.draft(MODEL) as draft:
        raise OSError(number, os.strerror(number), str(draft.folder / "weights.bin"))
    assert caught.value.hint


def test_only_names_are_committed_with_the_project(store: Store, tmp_path: Path) -> None:
    made = commit(store)
    (store.runs / "x").mkdir(parents=True)
    (store.runs / "x" / "last.pt").touch()
    (store.refs.folder / "model" / ".digits.json.7.tmp").touch()  # what a killed process leaves
    with store.draft(MODEL) as draft:
        draft.path("a").touch()
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        seen = subprocess.run(
            ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"], capture_output=True, text=True, check=True
        ).stdout.split()
    assert made.ref
    assert seen[1::2] == [".mltool/.gitignore", ".mltool/refs/model/digits.json"]


def test_an_attestation_speaks_of_one_artifact(store: Store) -> None:
    subject, other = commit(store), commit(store, config={"a": 2})
    checks = (Check.at_most("latency_p50_ms", 2.0, 5.0), Check.not_run("accuracy", "no labels"))
    made = store.attest(
        subject, "profile", checks=(check for check in checks), metrics={"latency_p50_ms": 2, "gap": float("nan")}
    )
    assert (made.kind, made.ref, made.checks) == (ArtifactKind.attestation, None, checks)
    assert made.metrics == {"latency_p50_ms": 2.0}
    assert made.manifest.parents == (Parent("subject", MODEL, subject.digest, "digits@1"),)
    assert [one.digest for one in store.attestations(subject)] == [made.digest]
    assert store.attestations(other) == []
    assert store.find(made.digest, ArtifactKind.attestation).digest == made.digest
    assert subject.manifest == Artifact.open(subject.path).manifest  # untouched


def test_the_page_of_an_attestation_knows_its_digest_and_is_no_part_of_it(store: Store) -> None:
    subject = commit(store)
    plain = store.attest(subject, "profile", metrics={"size_mib": 1.0})
    store.remove(plain)
    paged = store.attest(subject, "profile", metrics={"size_mib": 1.0}, pages={"report.html": "page of {}".format})
    assert paged.digest == plain.digest
    assert (paged.path / "report.html").read_text(encoding="utf-8") == f"page of {plain.digest}"
    assert store.attestations(subject)[0].digest == plain.digest


def test_attestations_come_oldest_first_and_equal_ones_once(store: Store) -> None:
    subject = commit(store)
    claims = ["promotion", "profile", "robustness"]
    for claim in claims:
        store.attest(subject, claim, checks=[Check.passed("a")])
    store.attest(subject, "profile", checks=[Check.passed("a")])
    assert [one.config["claim"] for one in store.attestations(subject)] == claims


def test_attestations_of_other_values_are_kept_beside_each_other(store: Store) -> None:
    subject = commit(store)
    latencies = [2.0, 3.0]
    for latency in latencies:
        store.attest(subject, "profile", metrics={"latency_p50_ms": latency})
    for value in (0.9, 0.8):
        store.attest(subject, "robustness", checks=[Check.at_least("accuracy", value, 0.5)])
    attested = store.attestations(subject)
    assert sorted(one.metrics["latency_p50_ms"] for one in attested if one.metrics) == latencies
    assert sorted(check.value for one in attested for check in one.checks) == [0.8, 0.9]


def test_a_damaged_attestation_proves_nothing(store: Store) -> None:
    subject = commit(store)
    made = store.attest(subject, "profile", checks=[Check.passed("a")])
    (made.path / "claim.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match="was changed"):
        store.attestations(subject)


def test_a_failed_attestation_is_kept(store: Store) -> None:
    subject = commit(store)
    made = store.attest(subject, "robustness", checks=[Check.at_least("accuracy", 0.3, 0.5)])
    assert made.has_failed_checks
    assert [one.digest for one in store.attestations(subject)] == [made.digest]


def test_removing_takes_all_names_and_the_files(store: Store) -> None:
    first, second = commit(store), commit(store, config={"a": 2})
    commit(store, "corn")
    assert store.remove(first) == ["corn@1", "digits@1"]
    assert not first.path.exists()
    assert [ref for ref, _ in store.refs.all(MODEL)] == ["digits@2"]
    assert store.refs.names(MODEL) == ["digits"]
    assert store.find("digits", MODEL).digest == second.digest
    with pytest.raises(ArtifactError, match="there is no `digits@1`"):
        store.find("digits@1", MODEL)
    assert commit(store, config={"a": 3}).ref == "digits@3"
    assert list(store.staging.iterdir()) == []


def test_an_artifact_without_a_name_can_be_removed(tmp_path: Path) -> None:
    store = Store(tmp_path / ".mltool")
    assert store.remove(commit(store, None)) == []
    assert list(store.artifacts.iterdir()) == []


def test_manifests_come_oldest_first_without_the_damaged(store: Store) -> None:
    model, dataset = commit(store), commit(store, kind=ArtifactKind.dataset)
    (store.artifacts / ".DS_Store").touch()
    broken = commit(store, config={"a": 2})
    (broken.path / "artifact.json").write_text("{", encoding="utf-8")
    assert {path for path, _ in store.manifests()} == {model.path, dataset.path}
    assert [path for path, _ in store.manifests(MODEL)] == [model.path]


def test_manifests_of_one_second_come_in_the_order_of_their_folders(store: Store) -> None:
    made = sorted((commit(store, config={"a": number}) for number in range(4)), key=lambda one: one.path, reverse=True)
    for age, artifact in enumerate(made):
        os.utime(artifact.path, (age, age))
    # Time may have gone on by a second between two of them: the first word is the manifest's.
    expected = [one.path for one in sorted(made, key=lambda one: one.manifest.created_utc)]
    assert [path for path, _ in store.manifests(MODEL)] == expected


def test_the_newest_of_several_names_speaks_for_an_artifact(store: Store) -> None:
    made = commit(store, None)
    for name, day in (("ant", 1), ("zebra", 2)):
        store.refs.add(MODEL, name, made.digest, f"2026-01-0{day}T00:00:00+00:00")
    assert store.name_of(made) == store.find(made.digest, MODEL).ref == "zebra@1"


def test_another_artifact_in_the_place_of_a_named_one_is_refused(store: Store) -> None:
    first, other = commit(store), commit(store, config={"a": 2})
    shutil.rmtree(first.path)
    shutil.copytree(other.path, first.path)
    with pytest.raises(ArtifactError, match="holds another artifact than `digits@1`"):
        store.find("digits@1", MODEL)
    assert store.find("digits@2", MODEL).digest == other.digest


def test_what_was_made_once_more_is_the_latest_again(store: Store) -> None:
    commit(store)
    second = commit(store, config={"a": 2})
    time.sleep(1.1)  # the times of versions are in whole seconds
    again = commit(store)
    assert (again.ref, store.find("latest", MODEL).ref) == ("digits@1", "digits@1")
    assert second.ref == "digits@2"


def test_an_artifact_of_another_store_is_not_removed(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    theirs = commit(other)
    with pytest.raises(ArtifactError, match="is not in the store"):
        store.remove(store.find(str(theirs.path), MODEL))
    assert other.find("digits@1", MODEL).digest == theirs.digest
