"""What is loaded is what was written: anything else is refused, with exit 3."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from artifact_testing import FILES, commit
from hypothesis import given
from hypothesis import strategies as st

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import MANIFEST, ArtifactKind, Manifest, Parent
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_json
from mltool.core.errors import ArtifactError
from user_project import said

__all__ = ["said"]


IDENTITY = sorted({*FILES, MANIFEST} - {"report.html"})


def refusal(path: Path) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        Artifact.open(path)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message
    return caught.value


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return commit(store, metrics={"accuracy": 0.5}, checks=[Check.at_least("accuracy", 0.5, 0.4)])


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    store = Store(tmp_path_factory.mktemp("lasting") / ".mltool")
    parents = [Parent("data", ArtifactKind.dataset, "ab" * 32, "corn@1")]
    checks = [Check.at_most("export_difference", 2e-6, 1e-4), Check.not_run("robustness", "nö")]
    return commit(store, metrics={"accuracy": 0.97}, parents=parents, checks=checks, facts={"a": [1, None, True]})


def test_a_whole_artifact_opens_wherever_it_lies(artifact: Artifact, tmp_path: Path) -> None:
    copied = Artifact.open(Path(shutil.copytree(artifact.path, tmp_path / "elsewhere")))
    assert copied.manifest == artifact.manifest
    assert (copied.kind, copied.digest, copied.metrics) == (ArtifactKind.model, artifact.digest, {"accuracy": 0.5})
    assert (copied.ref, copied.name, copied.label) == (None, None, artifact.digest[:12])
    assert (artifact.ref, artifact.name, artifact.label) == ("digits@1", "digits", "digits@1")
    assert copied.size_bytes == sum(
        path.stat().st_size for path in copied.path.rglob("*") if path.is_file() and path.name != MANIFEST
    )


@given(data=st.data())
def test_a_changed_byte_anywhere_is_refused(lasting: Artifact, data: st.DataObject) -> None:
    file = lasting.path / data.draw(st.sampled_from(IDENTITY))
    whole = file.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[position]) | st.sampled_from(b" \t\n\r"))
    changed = whole[:position] + bytes([byte]) + whole[position + 1 :]
    try:
        file.write_bytes(changed)
        if changed == whole:
            Artifact.open(lasting.path)
        else:
            refusal(lasting.path)
    finally:
        file.write_bytes(whole)


@given(data=st.data())
def test_a_file_of_another_length_is_refused(lasting: Artifact, data: st.DataObject) -> None:
    file = lasting.path / data.draw(st.sampled_from(IDENTITY))
    whole = file.read_bytes()
    cut, more = data.draw(st.integers(0, len(whole))), data.draw(st.sampled_from([b"", b" ", b"\n", b"\0", b"{}"]))
    try:
        file.write_bytes(whole[:cut] + more)
        if whole[:cut] + more != whole:
            refusal(lasting.path)
    finally:
        file.write_bytes(whole)


def test_each_problem_is_named(artifact: Artifact) -> None:
    weights = artifact.path / "weights.bin"
    whole = weights.read_bytes()

    weights.write_bytes(whole[:-1] + b"\7")
    assert refusal(artifact.path).message == f"`{weights}` was changed after it was written"
    weights.unlink()
    assert refusal(artifact.path).message == f"`{weights}` is missing"
    weights.write_bytes(whole)
    (artifact.path / "reference" / "more").touch()
    message = refusal(artifact.path).message
    assert message == f"`{artifact.path}` holds a file that does not belong to it, `reference/more`"
    (artifact.path / "reference" / "more").unlink()
    Artifact.open(artifact.path)


@pytest.mark.parametrize("change", ["rewritten", "deleted"])
def test_a_report_that_was_changed_is_warned_of_and_the_rest_is_used(
    change: str, artifact: Artifact, said: list[str]
) -> None:
    report = artifact.path / "report.html"
    if change == "deleted":
        report.unlink()
    else:
        report.write_text("<p>better than it is</p>")
    assert Artifact.open(artifact.path).digest == artifact.digest
    what = "is missing" if change == "deleted" else "was changed after it was written"
    assert said == [f"`{report}` {what}; the model itself is whole"]


def test_what_a_file_browser_leaves_behind_is_no_damage(artifact: Artifact) -> None:
    (artifact.path / ".DS_Store").write_bytes(b"Bud1")
    (artifact.path / "reference" / "Thumbs.db").touch()
    assert Artifact.open(artifact.path).digest == artifact.digest


def sealed(data: dict[str, Any]) -> dict[str, Any]:
    body = {key: value for key, value in data.items() if key != "seal"}
    return {**body, "seal": digest.of_json(body)}


def _raise_accuracy(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "metrics": {"accuracy": 0.99}}


def _other_config_with_a_new_seal(data: dict[str, Any]) -> dict[str, Any]:
    return sealed({**data, "config": {"train": {"lr": 0.3}}})


def _without_seal(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "seal"}


def _files_in_another_form(data: dict[str, Any]) -> dict[str, Any]:
    return sealed({**data, "files": list(data["files"])})


def _without_kind(data: dict[str, Any]) -> dict[str, Any]:
    return sealed({key: value for key, value in data.items() if key != "kind"})


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (_raise_accuracy, "was edited after it was written"),
        (_other_config_with_a_new_seal, "does not have the digest that it claims"),
        (_without_seal, "is damaged: KeyError('seal')"),
        (_files_in_another_form, "is damaged: "),
        (_without_kind, "is damaged: KeyError('kind')"),
    ],
)
def test_an_edited_manifest_is_refused(
    artifact: Artifact, edit: Callable[[dict[str, Any]], dict[str, Any]], part: str
) -> None:
    data = json.loads((artifact.path / MANIFEST).read_bytes())
    write_json(artifact.path / MANIFEST, edit(data))
    assert part in refusal(artifact.path).message


def test_a_second_entry_of_the_same_name_is_refused(artifact: Artifact) -> None:
    path = artifact.path / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"kind"', b'"kind": "dataset",\n  "kind"', 1))
    assert refusal(artifact.path).message == f"`{path}` was edited after it was written"


def test_a_later_schema_is_refused_with_the_way_out(artifact: Artifact) -> None:
    data = json.loads((artifact.path / MANIFEST).read_bytes())
    write_json(artifact.path / MANIFEST, sealed({**data, "schema_version": 2, "news": {}}))
    error = refusal(artifact.path)
    assert (error.message, error.hint) == (f"`{artifact.path}` has schema version `2`", "upgrade mltool to read it")


@pytest.mark.parametrize("version", [0, "1", None])
def test_a_schema_that_never_was_is_refused(artifact: Artifact, version: object) -> None:
    data = json.loads((artifact.path / MANIFEST).read_bytes())
    write_json(artifact.path / MANIFEST, sealed({**data, "schema_version": version}))
    assert refusal(artifact.path).message == f"`{artifact.path}` has schema version `{version}`"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"{", b"\xff", b'{"schema_version": 1}', b'{"schema_version": 1, "seal": ""}'],
)
def test_a_foreign_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    assert refusal(tmp_path).message.startswith(f"`{tmp_path / MANIFEST}` ")


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt").touch()
    for path in (tmp_path, tmp_path / "none", tmp_path / "model.pt"):
        error = refusal(path)
        assert error.message == f"`{path}` holds no artifact"
        assert error.hint == "an artifact has a `artifact.json`"


def test_a_manifest_reads_back_as_it_was_written(lasting: Artifact) -> None:
    assert Manifest.read(lasting.path) == lasting.manifest
    shown = lasting.to_json()
    assert shown["path"] == str(lasting.path)
    assert shown["ref"] == "digits@1"
    assert "seal" not in shown
    json.dumps(shown, allow_nan=False)
