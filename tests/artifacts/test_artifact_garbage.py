from __future__ import annotations

import subprocess
import sys

import pytest
from artifact_testing import commit

from mltool.artifacts.checks import Check
from mltool.artifacts.garbage import collect, garbage
from mltool.artifacts.manifest import MANIFEST, ArtifactKind, Parent
from mltool.artifacts.store import Store

WRITER = """
import sys
from pathlib import Path
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
with Store(Path(sys.argv[1])).draft(ArtifactKind.model) as draft:
    draft.path("weights.bin").write_bytes(b"0" * 1000)
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(store: Store) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def test_what_a_living_process_writes_is_kept_and_what_a_dead_one_left_is_found(store: Store) -> None:
    with writer(store) as living:
        with writer(store) as dying:
            both = {path for path in store.staging.iterdir() if path.is_dir()}
            assert garbage(store) == []
            dying.kill()
        (dead,) = garbage(store)
        assert dead in both
        assert collect(store, [dead]) == 1000
        assert {path for path in store.staging.iterdir() if path.is_dir()} == both - {dead}
        assert not dead.with_name(f"{dead.name}.lock").exists()
        living.communicate("")
    assert list(store.staging.iterdir()) == []


def test_a_store_that_is_all_used_has_no_garbage(store: Store) -> None:
    assert garbage(store) == []
    grandparent = commit(store, None, config={"a": 1})
    parent = commit(
        store, None, config={"a": 2}, parents=[Parent("float model", ArtifactKind.model, grandparent.digest)]
    )
    named = commit(store, config={"a": 3}, parents=[Parent("float model", ArtifactKind.model, parent.digest)])
    store.attest(named, "profile")
    store.attest(grandparent, "profile")
    assert garbage(store) == []


def test_every_parent_of_what_has_a_name_is_kept(store: Store) -> None:
    parents = [commit(store, None, config={"a": number}) for number in range(3)]
    commit(store, parents=[Parent("float model", ArtifactKind.model, parent.digest) for parent in parents])
    assert garbage(store) == []


def test_a_folder_in_staging_that_nobody_locks_is_garbage(store: Store) -> None:
    commit(store)
    left = store.staging / "removed-0123"
    left.mkdir()
    (left / "weights.bin").write_bytes(b"0" * 10)
    assert garbage(store) == [left]
    assert collect(store, [left]) == 10
    assert garbage(store) == []


def test_what_no_name_leads_to_is_garbage(store: Store) -> None:
    named = commit(store)
    failed = commit(store, config={"a": 2}, checks=[Check.failed("export", "broken")])
    child = commit(store, None, config={"a": 3}, parents=[Parent("float model", ArtifactKind.model, named.digest)])
    proof = store.attest(failed, "profile")
    num_bytes = sum(made.size_bytes + (made.path / MANIFEST).stat().st_size for made in (failed, child, proof))
    found = garbage(store)
    assert set(found) == {failed.path, child.path, proof.path}
    assert collect(store, found) == num_bytes
    assert [path for path, _ in store.manifests()] == [named.path]
    assert garbage(store) == []


def test_what_was_removed_while_named_leaves_its_relatives_as_garbage(store: Store) -> None:
    parent = commit(store, None, config={"a": 1})
    named = commit(store, config={"a": 2}, parents=[Parent("float model", ArtifactKind.model, parent.digest)])
    store.remove(named)
    assert garbage(store) == [parent.path]


def test_a_circle_of_parents_is_no_endless_loop(store: Store) -> None:
    made = commit(store, parents=[Parent("self", ArtifactKind.model, "0" * 64)])
    commit(store, config={"a": 2}, parents=[Parent("a", ArtifactKind.model, made.digest)] * 2)
    assert garbage(store) == []


def test_what_is_in_use_is_no_garbage_and_neither_is_what_it_was_made_from(store: Store) -> None:
    base, other = commit(store, None, config={"a": 1}), commit(store, None, config={"a": 2})
    used = commit(store, None, config={"a": 3}, parents=[Parent("float model", ArtifactKind.model, base.digest)])
    found = garbage(store)
    assert set(found) == {base.path, other.path, used.path}
    assert garbage(store, {used.digest, "0" * 64}) == [other.path]
    collect(store, found, {used.digest})
    assert (base.path.exists(), other.path.exists(), used.path.exists()) == (True, False, True)


@pytest.mark.parametrize("content", [b"{", b"{}", b""])
def test_an_artifact_without_a_readable_manifest_is_garbage(store: Store, content: bytes) -> None:
    named, broken = commit(store), commit(store, "corn", config={"a": 2})
    (broken.path / "artifact.json").write_bytes(content)
    assert garbage(store) == [broken.path]
    assert named.path.is_dir()


def test_an_artifact_of_a_later_mltool_is_no_garbage(store: Store) -> None:
    later = commit(store)
    text = (later.path / MANIFEST).read_text(encoding="utf-8")
    (later.path / MANIFEST).write_text(text.replace('"schema_version": 1', '"schema_version": 2'), encoding="utf-8")
    assert garbage(store) == []


def test_a_lock_that_a_killed_process_left_alone_is_garbage_and_one_that_is_held_is_not(store: Store) -> None:
    with writer(store) as living:
        left = store.staging / "model-0123.lock"
        left.touch()
        assert garbage(store) == [left]
        assert collect(store, [left]) == 0
        assert not left.exists()
        living.communicate("")


def test_what_got_a_name_since_it_was_listed_is_not_deleted(store: Store) -> None:
    lost, saved = commit(store, None, config={"a": 1}), commit(store, None, config={"a": 2})
    found = garbage(store)
    assert set(found) == {lost.path, saved.path}
    store.refs.add(ArtifactKind.model, "saved", saved.digest, saved.manifest.created_utc)
    assert collect(store, found) > 0
    assert (lost.path.exists(), saved.path.exists()) == (False, True)


MAKER = """
import sys
from pathlib import Path
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
for number in range(40):
    with Store(Path(sys.argv[1])).draft(ArtifactKind.model) as draft:
        draft.path("weights.bin").write_bytes(b"%d" % number)
        draft.commit("busy", config={})
"""


def test_nothing_with_a_name_is_lost_beside_a_process_that_commits(store: Store) -> None:
    (store.root / "refs").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", MAKER, str(store.root)]) as maker:
        while maker.poll() is None:
            collect(store, garbage(store))
    assert maker.returncode == 0
    versions = store.refs.versions(ArtifactKind.model, "busy")
    assert len(versions) == 40
    assert all((store.artifacts / version.digest[:12]).is_dir() for version in versions)
