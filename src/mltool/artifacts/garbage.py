"""What a store holds that nothing refers to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from mltool.artifacts.manifest import ArtifactKind, LaterVersionError, Manifest
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError


def garbage(store: Store) -> list[Path]:
    """What nothing can use: staging of dead processes, artifacts without a readable manifest, and those without a name
    or a named descendant.
    """
    dead = [path for path in store.staging.glob("*") if path.is_dir() and not _is_locked(Path(f"{path}.lock"))]
    # A process that was killed at the very end leaves its lock without the folder.
    alone = (lock for lock in store.staging.glob("*.lock") if not lock.with_suffix("").exists())
    dead += [lock for lock in alone if not _is_locked(lock)]
    manifests = {manifest.digest: (path, manifest) for path, manifest in store.manifests()}
    kept: set[str] = set()
    queue = [version.digest for kind in ArtifactKind for _, version in store.refs.all(kind)]
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
    readable = {path for path, _ in manifests.values()}
    unreadable = [
        p for p in store.artifacts.glob("*") if p.is_dir() and p not in readable and not _is_of_later_version(p)
    ]
    return dead + sorted([*unnamed, *unreadable])


def _is_of_later_version(path: Path) -> bool:
    try:
        Manifest.read(path)
    except LaterVersionError:
        return True
    except ArtifactError:
        return False
    return False


def collect(garbage: Iterable[Path]) -> int:
    """Delete what `garbage` listed, and return the bytes won."""
    num_bytes = 0
    for path in garbage:
        num_bytes += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
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
