"""Fetch datasets from a remote, and what the project tracks with DVC from where DVC keeps it."""

from __future__ import annotations

from mltool.artifacts import pointers
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.pointers import Pointer
from mltool.artifacts.references import LATEST, Version
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import ArtifactError
from mltool.datasets.config import DataConfig
from mltool.integrations.dvc import objects
from mltool.integrations.dvc.remote import Remote
from mltool.stages.data.moved import Moved, MovedDataset
from mltool.stages.data.places import Places, newest

_PUSH_FIRST = "run `mltool data push` where it is, and commit `.mltool/refs`"


def pull(ref: str | None, config: DataConfig, store: Store) -> Moved:
    """Fetch datasets, and what the project tracks.

    Args:
        ref: One dataset, with the tracked folder that its source lies in; None for the newest of each name that was
            pushed, and all that is tracked.

    Raises:
        ArtifactError: There is nothing to pull, or it is missing or damaged in the remote; nothing of it is kept.
        ConfigError: There is no remote.
        RemoteError: The remote cannot be read or reached.
    """
    places = Places(config)
    wanted = _wanted(ref, store)
    outs = places.outs() if ref is None else []
    if not wanted and not outs:
        raise ArtifactError("there is no data to pull", hint=_PUSH_FIRST)
    moved = []
    for name, version, pointer in wanted:
        dataset, is_new = _here(store, name), False
        if dataset is None:
            places.remote.expect_access()
            dataset, is_new = _fetch(store, places.remote, name, version, pointer), True
        moved.append(_moved(dataset, store, pointer, is_new=is_new))
        outs += places.outs_of(dataset.manifest.facts) if ref is not None else []
    num_tracked = places.pull_tracked(outs)
    url = places.remote.shown if any(one.num_moved for one in moved) else None
    return Moved(tuple(moved), url, tuple(outs), places.tracked_url(outs), num_tracked)


def _wanted(ref: str | None, store: Store) -> list[tuple[str, Version, Pointer]]:
    found = []
    for name in newest(store) if ref is None else [_latest(store) if ref == LATEST else ref]:
        known = store.version_of(name, ArtifactKind.dataset)
        if known is None:
            raise ArtifactError(f"there is no dataset `{name}`", hint="`mltool data list` shows what there is")
        full_name, version = known
        pointer = pointers.read(store, version.digest)
        if pointer is not None:
            found.append((full_name, version, pointer))
        elif ref is not None:
            raise ArtifactError(f"`{full_name}` was never pushed: it has no pointer", hint=_PUSH_FIRST)
    return found


def _latest(store: Store) -> str:
    versions = list(store.refs.all(ArtifactKind.dataset))
    if not versions:
        raise ArtifactError("there is no dataset yet", hint=_PUSH_FIRST)
    name, _ = max(versions, key=lambda one: one[1].created_utc)
    events.info(f"latest is {name}")
    return name


def _here(store: Store, name: str) -> Artifact | None:
    """The dataset if it is here and whole; one that is damaged is fetched again."""
    try:
        return store.find(name, ArtifactKind.dataset)
    except ArtifactError:
        return None


def _fetch(store: Store, remote: Remote, name: str, version: Version, pointer: Pointer) -> Artifact:
    with store.draft(ArtifactKind.dataset) as draft:
        store.expect_space(pointer.size_bytes)
        objects.pull_folder(remote, pointer.oid, draft.folder, size_bytes=pointer.size_bytes, name=name)
        try:
            return draft.adopt(version.digest, name)
        except ArtifactError as error:
            raise ArtifactError(
                f"what `{remote.shown}` keeps as `{name}` is not that dataset: {error.message}",
                hint=f"run `mltool data push {name}` where the dataset is whole",
            ) from error


def _moved(dataset: Artifact, store: Store, pointer: Pointer, *, is_new: bool) -> MovedDataset:
    return MovedDataset(
        ref=dataset.label,
        digest=dataset.digest,
        path=dataset.path,
        pointer=pointers.path_of(store, dataset.digest),
        num_files=pointer.num_files,
        size_bytes=pointer.size_bytes,
        num_moved=pointer.num_files if is_new else 0,
        moved_bytes=pointer.size_bytes if is_new else 0,
    )
