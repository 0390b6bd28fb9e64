"""An artifact is found by path, digest prefix, `name`, `name@N` or `latest`."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from artifact_testing import commit
from filelock import FileLock

from mltool.artifacts import references
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.references import check_name
from mltool.artifacts.store import Store, open_store
from mltool.core import events
from mltool.core.errors import ArtifactError, ConfigError

MODEL, DATASET = ArtifactKind.model, ArtifactKind.dataset


def refusal(store: Store, ref: str, kind: ArtifactKind = MODEL) -> tuple[str, str | None]:
    with pytest.raises(ArtifactError) as caught:
        store.find(ref, kind)
    return caught.value.message, caught.value.hint


@pytest.fixture
def three(store: Store) -> list[Artifact]:
    return [commit(store, config={"version": number}) for number in (1, 2, 3)]


def test_every_way_to_name_it_finds_it(store: Store, three: list[Artifact], monkeypatch: pytest.MonkeyPatch) -> None:
    second = three[1]
    monkeypatch.chdir(store.artifacts)
    for ref in (
        "digits@2",
        second.digest,
        second.digest[:12],
        second.digest[:6],
        str(second.path),
        f"{second.path}/",
        f"./{second.path.name}",
        second.path.name,
    ):
        found = store.find(ref, MODEL)
        assert (found.digest, found.ref, found.path) == (second.digest, "digits@2", second.path)
    assert store.find("digits", MODEL).ref == store.find("latest", MODEL).ref == "digits@3"
    assert [artifact.ref for artifact in three] == ["digits@1", "digits@2", "digits@3"]


def test_a_name_goes_before_a_digest(store: Store) -> None:
    other = commit(store, "corn")
    named_like_it = commit(store, other.digest[:6], config={"a": 1})
    assert store.find(other.digest[:6], MODEL).digest == named_like_it.digest
    assert store.find(other.digest[:7], MODEL).digest == other.digest


def test_what_is_not_there_is_named_with_what_is(store: Store, three: list[Artifact]) -> None:
    commit(store, "corn")
    commit(store, "wheat", kind=DATASET)
    known = "known are corn, digits"
    assert refusal(store, "digit") == ("there is no model `digit`", known)
    assert refusal(store, "digit@1") == ("there is no model `digit`", known)
    assert refusal(store, "wheat") == ("there is no model `wheat`", known)
    assert refusal(store, "beef") == ("there is no model `beef`", known)
    assert refusal(store, three[0].digest[:3]) == (f"there is no model `{three[0].digest[:3]}`", known)
    assert refusal(store, three[0].digest[:13] + "x") == (f"there is no model `{three[0].digest[:13]}x`", known)
    changed = three[0].digest[:-1] + ("0" if three[0].digest[-1] != "0" else "1")
    assert refusal(store, changed) == (f"there is no model `{changed}`", known)
    for ref in ("digits@4", "digits@0", "digits@", "digits@03", "digits@-1"):
        assert refusal(store, ref) == (f"there is no `{ref}`", "`digits` has the versions 1, 2, 3")


def test_an_empty_store_says_how_to_begin(store: Store) -> None:
    assert refusal(store, "latest") == (f"there is no model in `{store.root}` yet", "make one with `mltool train`")
    assert refusal(store, "latest", DATASET)[1] == "make one with `mltool data add`"
    assert refusal(store, "digits") == ("there is no model `digits`", "there is no model yet")


def test_an_artifact_of_another_kind_is_refused(store: Store, three: list[Artifact]) -> None:
    for ref in (str(three[0].path), three[0].digest[:12]):
        assert refusal(store, ref, DATASET) == (f"`{ref}` is a model, but a dataset is needed", None)


def test_a_prefix_that_fits_two_is_refused(store: Store) -> None:
    template = commit(store, None).manifest
    seen: dict[str, int] = {}
    for number in count():
        prefix = replace(template, config={"n": number}).identity_digest()[:4]
        if prefix in seen:
            break
        seen[prefix] = number
    first, second = (commit(store, None, config={"n": n}) for n in (seen[prefix], number))
    assert refusal(store, prefix) == (f"`{prefix}` fits 2 artifacts", "give more of the digest")
    assert store.find(first.digest[:12], MODEL).digest == first.digest
    assert store.find(second.digest, MODEL).digest == second.digest


def test_latest_is_the_newest_of_its_kind_whatever_its_name(store: Store) -> None:
    commit(store, "zebra")
    commit(store, "ant", config={"a": 1})
    commit(store, "zoo", kind=DATASET)
    assert store.find("latest", MODEL).ref == "ant@1"
    assert store.find("latest", DATASET).ref == "zoo@1"
    commit(store, "zebra", config={"a": 2})
    assert store.find("latest", MODEL).ref == "zebra@2"


def test_which_one_is_the_latest_is_said(store: Store, three: list[Artifact]) -> None:
    heard: list[events.Event] = []
    with events.subscribed(heard.append):
        store.find("latest", MODEL)
        store.find("digits", MODEL)
    assert heard == [events.Message("info", "latest is digits@3")]


def test_an_artifact_with_a_failed_check_is_reached_by_its_digest_only(store: Store, three: list[Artifact]) -> None:
    failed = commit(store, config={"version": 4}, checks=[Check.passed("a"), Check.failed("export", "broken")])
    assert failed.has_failed_checks
    assert failed.ref is None
    assert store.find("latest", MODEL).ref == store.find("digits", MODEL).ref == "digits@3"
    assert store.find(failed.digest[:8], MODEL).ref is None


def test_a_check_that_was_not_run_does_not_hide_an_artifact(store: Store) -> None:
    assert commit(store, checks=[Check.not_run("a", "no labels")]).ref == "digits@1"


def test_a_name_without_its_files_is_not_the_latest(store: Store, three: list[Artifact], tmp_path: Path) -> None:
    three[2].path.rename(tmp_path / "away")
    assert store.find("latest", MODEL).ref == "digits@2"
    assert refusal(store, "digits") == (
        "`digits@3` has a name, but its files are not in this store",
        "`mltool models rm digits@3` takes the name away",
    )
    for artifact in three[:2]:
        artifact.path.rename(tmp_path / artifact.digest)
    assert refusal(store, "latest")[0].startswith("`digits@3` has a name, but its files are not in this store; ")


def test_an_artifact_elsewhere_is_found_by_its_path(store: Store, three: list[Artifact], tmp_path: Path) -> None:
    three[0].path.rename(tmp_path / "copy")
    found = Store(tmp_path / "empty").find(str(tmp_path / "copy"), MODEL)
    assert (found.digest, found.ref) == (three[0].digest, None)
    assert refusal(store, "./nothing") == (
        f"`{Path('nothing').resolve()}` holds no artifact",
        "an artifact has a `artifact.json`",
    )


@pytest.mark.parametrize(
    "name", ["", "a/b", "../a", ".a", "-a", "a b", "ä", "a\n", "a@1", "a" * 101, "a\\b", "a:b", "a*", "latest", "a\0"]
)
def test_a_name_that_cannot_be_one_is_refused_before_anything_is_written(store: Store, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        commit(store, name)
    assert caught.value.message == f"`{name}` cannot be a name"
    assert caught.value.hint
    assert list(store.artifacts.iterdir()) == []
    assert list(store.staging.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "9", "Corn-2.1_b", "a" * 100, "latest2", "Latest.x"])
def test_a_usual_name_is_accepted(store: Store, name: str) -> None:
    assert check_name(name) == name
    assert commit(store, name).ref == f"{name}@1"
    assert store.find(name, MODEL).name == name


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        "<<<<<<< HEAD\n{}",
        '{"last": 1, "versions": 3}',
        '{"last": 1, "versions": [3]}',
        '{"last": 1, "versions": [{"version": 1}]}',
        '{"last": 1, "versions": [{"version": "1", "digest": "ab", "created_utc": ""}]}',
        '{"last": 1, "versions": [{"version": 1, "digest": 7, "created_utc": ""}]}',
        '{"last": 1, "versions": [{"version": 1, "digest": "ab", "created_utc": null}]}',
    ],
)
def test_a_damaged_pointer_file_is_refused_and_never_overwritten(store: Store, content: str) -> None:
    commit(store)
    pointer = store.refs.folder / "model" / "digits.json"
    pointer.write_text(content, encoding="utf-8")
    for ref in ("digits", "digits@1", "latest"):
        message, hint = refusal(store, ref)
        assert message.startswith(f"`{pointer}` is damaged: ")
        assert hint == "restore it, for example with `git checkout`"
    with pytest.raises(ArtifactError, match="is damaged"):
        commit(store, config={"a": 2})
    assert pointer.read_text(encoding="utf-8") == content


def test_versions_go_on_after_the_newest_one_in_a_merged_file(store: Store, three: list[Artifact]) -> None:
    pointer = store.refs.folder / "model" / "digits.json"
    versions = store.refs.versions(MODEL, "digits")
    store.refs._write(pointer, 1, [versions[2], versions[0]])
    assert commit(store, config={"version": 4}).ref == "digits@4"


def test_names_that_another_process_holds_too_long_are_an_error(
    store: Store, three: list[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_LOCK_TIMEOUT_S", 0.1)
    with FileLock(str(store.refs.folder / ".lock")):
        with pytest.raises(ArtifactError, match="another process holds the names"):
            commit(store, config={"version": 4})
        with pytest.raises(ArtifactError, match="another process holds the names"):
            store.remove(three[0])
        assert store.find("digits@1", MODEL).digest == three[0].digest  # reading needs no lock
    assert commit(store, config={"version": 4}).ref == "digits@4"


def test_the_store_is_the_project_s_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mltool.yaml").touch()
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    assert open_store().root == tmp_path.resolve() / ".mltool"
    monkeypatch.setenv("MLTOOL_HOME", f"..{os.sep}big")
    assert open_store().root == tmp_path.resolve() / "big"


def test_the_number_of_a_removed_version_is_never_given_again(store: Store, three: list[Artifact]) -> None:
    store.remove(three[2])
    assert commit(store, "digits", files={"weights.bin": b"another"}).ref == "digits@4"


def test_a_name_without_versions_is_not_listed(store: Store, three: list[Artifact]) -> None:
    for artifact in three:
        store.remove(artifact)
    assert store.refs.names(MODEL) == []
