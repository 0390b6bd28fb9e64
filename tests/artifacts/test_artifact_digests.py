"""A digest says what an artifact is; not when, how fast or by whom it was made."""

from __future__ import annotations

import hashlib

import pytest
from artifact_testing import FILES, commit

from mltool.artifacts import digest
from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store


def test_equal_content_has_an_equal_digest_whatever_the_time_and_the_order(store: Store) -> None:
    first = commit(store, config={"a": 1, "b": {"c": 2, "d": 3}}, metrics={"accuracy": 0.9}, facts={"host": "x"})
    other = Store(store.root / "other")
    second = commit(
        other,
        "corn",
        files=dict(reversed(FILES.items())),
        config={"b": {"d": 3, "c": 2}, "a": 1},
        metrics={"latency_p50_ms": 3.0},
        checks=[Check.passed("export")],
        parents=[Parent("data", ArtifactKind.dataset, "ab" * 32)],
    )
    assert first.digest == second.digest
    assert first.manifest != second.manifest


def test_what_is_not_identity_does_not_change_the_digest(store: Store) -> None:
    first = commit(store)
    second = commit(Store(store.root / "other"), files={**FILES, "report.html": b"another"})
    assert first.digest == second.digest
    assert first.manifest.files["report.html"] != second.manifest.files["report.html"]


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"train": {"lr": 0.2}}},
        {"config": {"train": {"lr": "0.1"}}},
        {"signature": {"image": [1, 8, 8]}},
        {"kind": ArtifactKind.dataset},
        {"files": {**FILES, "weights.bin": b"\0"}},
        {"files": {**FILES, "more.bin": b""}},
        {"files": {name: FILES[name] for name in ("weights.bin", "report.html")}},
        {"files": {**{name: FILES[name] for name in list(FILES)[1:]}, "weights2.bin": FILES["weights.bin"]}},
        {"not_identity": ()},
    ],
    ids=["value", "type", "signature", "kind", "content", "added", "removed", "renamed", "identity"],
)
def test_what_the_artifact_is_changes_the_digest(store: Store, change: dict[str, object]) -> None:
    assert commit(store).digest != commit(store, **change).digest  # type: ignore[arg-type]


def test_the_digest_of_plain_data_is_that_of_its_shortest_text_and_stays_so() -> None:
    text = '{"a":0.5,"ä":[1,null,true]}'  # a digest of today must be the one of tomorrow
    assert digest.of_json({"ä": [1, None, True], "a": 0.5}) == hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_of_weights_stands_by_itself(store: Store) -> None:
    first = commit(store, config={"lr": 1}, weights="weights.bin")
    second = commit(store, config={"lr": 2}, weights="weights.bin")
    assert first.manifest.weights_digest == second.manifest.weights_digest == digest.of_file(first.path / "weights.bin")
    assert first.digest != second.digest
