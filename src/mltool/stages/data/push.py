"""Send datasets to a remote, and what the project tracks with DVC to where DVC keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mltool.artifacts import pointers
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.inventory import rows
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.pointers import Pointer
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError
from mltool.datasets.config import DataConfig
from mltool.integrations.dvc import objects
from mltool.integrations.dvc.objects import Folder, Listed
from mltool.integrations.dvc.tracked import TrackedOut
from mltool.stages.data.moved import Moved, MovedDataset
from mltool.stages.data.places import Places, newest


def push(ref: str | None, config: DataConfig, store: Store) -> Moved:
    """Send datasets, and what the project tracks.

    Args:
        ref: One dataset, with the tracked folder that its source lies in; None for the newest of each name and all
            that is tracked.

    Raises:
        ArtifactError: There is nothing to push, or it is damaged.
        ConfigError: There is no remote.
        RemoteError: The remote cannot be written or reached.
    """
    places = Places(config)
    datasets, outs = _chosen(ref, places, store)
    moved = []
    if datasets:
        places.remote.expect_access(writing=True)
    for dataset in datasets:
        folder = objects.folder_of(dataset.path)
        missing = objects.missing_in(places.remote, folder)
        objects.push_folder(places.remote, dataset.path, folder, missing)
        pointer = Pointer(folder.oid, folder.size_bytes, len(folder.files))
        moved.append(_moved(dataset, folder, missing, pointers.write(store, dataset.digest, pointer)))
    num_tracked = places.push_tracked(outs)
    url = places.remote.shown if datasets else None
    return Moved(tuple(moved), url, tuple(outs), places.tracked_url(outs), num_tracked)


def plan(ref: str | None, config: DataConfig, store: Store) -> dict[str, Any]:
    """What `push` would send, as plain data; the remote is asked what it holds, and nothing is written."""
    places = Places(config)
    datasets, outs = _chosen(ref, places, store)
    found: dict[str, Any] = {}
    if datasets:
        places.remote.expect_access(may_be_new=True)
        found |= {"remote": places.remote.shown, "datasets": {}}
    for dataset in datasets:
        folder = objects.folder_of(dataset.path)
        missing = objects.missing_in(places.remote, folder)
        found["datasets"][dataset.label] = {
            "num_files": len(missing),
            "size_bytes": sum(file.size_bytes for file in missing),
            "num_files_there": len(folder.files) - len(missing),
            "pointer": str(pointers.path_of(store, dataset.digest)),
        }
    if places.tracked and outs:
        kept = places.tracked.kept(outs)
        found["tracked_remote"] = places.tracked_url(outs)
        found["tracked"] = [str(out.path) for out in outs if out.path not in kept]
        found["tracked_there"] = [str(out.path) for out in outs if out.path in kept]
    return found


def _chosen(ref: str | None, places: Places, store: Store) -> tuple[list[Artifact], list[TrackedOut]]:
    if ref is not None:
        dataset = store.find(ref, ArtifactKind.dataset)
        if dataset.ref is None:
            raise ArtifactError(f"`{ref}` has no name by which others could ask for it")
        return [dataset], places.outs_of(dataset.manifest.facts)
    here = {row.ref for row in rows(store, ArtifactKind.dataset) if row.state != "missing"}
    datasets = [store.find(name, ArtifactKind.dataset) for name in newest(store) if name in here]
    outs = places.outs()
    if not datasets and not outs:
        raise ArtifactError("there is no data to push", hint="make a dataset with `mltool data add`")
    return datasets, outs


def _moved(dataset: Artifact, folder: Folder, missing: list[Listed], pointer: Path) -> MovedDataset:
    return MovedDataset(
        ref=dataset.label,
        digest=dataset.digest,
        path=dataset.path,
        pointer=pointer,
        num_files=len(folder.files),
        size_bytes=folder.size_bytes,
        num_moved=len(missing),
        moved_bytes=sum(file.size_bytes for file in missing),
    )
