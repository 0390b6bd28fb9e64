"""What a store holds that nothing refers to."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from mltool.artifacts.manifest import ArtifactKind, LaterVersionError, Manifest
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError


def garbage(store: Store, in_use: Collection[str] = ()) -> list[Path]:
    """What nothing can use: staging of dead processes, artifacts without a readable manifest, and those without a name
    or a named descendant.

    Args:
        in_use: Digests of what is kept as if it had a name.
    """
    if not store.root.is_dir():
        return []
    with store.refs.locked():  # nobody is between publishing and naming
        return _garbage(store, in_use)


def _garbage(store: Store, in_use: Collection[str]) -> list[Path]:
    dead = [path for path in store.staging.glob("*") if path.is_dir() and not _is_locked(Path(f"{path}.lock"))]
    # A process that was killed at the very end leaves its lock without the folder.
    alone = (lock for lock in store.staging.glob("*.lock") if not lock.with_suffix("").exists())
    dead += [lock for lock in alone if not _is_locked(lock)]
    manifests: dict[str, tuple[Path, Manifest]] = {}
    unreadable: list[Path] = []
    for path in store.artifacts.glob("*"):
        try:
            manifest = Manifest.read(path)
            manifests[manifest.digest] = (path, manifest)
        except LaterVersionError:
            continue
        except ArtifactError:
            unreadable += [path] if path.is_dir() else []
    kept: set[str] = set()
    queue = [*in_use, *(version.digest for kind in ArtifactKind for _, version in store.refs.all(kind))]
    while queue:
        full = queue.pop()
        if full not in kept and full in manifests:
            kept.add(full)
            queue += [parent.digest for parent in manifests[full][1].parents]
    unnamed = [
        path
        for full, (path, manifest) in manifests.items()
        if full not in kept
        and not (manifest.kind is ArtifactKind.attestation and manifest.config.get("subject") in kept)
    ]
    return dead + sorted([*unnamed, *unreadable])


def collect(store: Store, chosen: Iterable[Path], in_use: Collection[str] = ()) -> int:
    """Delete what `garbage` listed and is garbage still, and return the bytes won."""
    num_bytes, doomed = 0, []
    with store.refs.locked():
        still = set(_garbage(store, in_use))
        for path in (path for path in chosen if path in still):
            num_bytes += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            # At once, so that nobody loads half of it; what was in staging stays there.
            gone = path if path.parent == store.staging else store.staging / f"removed-{uuid.uuid4().hex}"
            doomed.append(path.rename(gone))
    for path in doomed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        Path(f"{path}.lock").unlink(missing_ok=True)
    return num_bytes


def _is_locked(lock: Path) -> bool:
    if not lock.exists():
        return False
    try:
        with FileLock(str(lock), timeout=0):
            return False
    except Timeout:
        return True
