"""What a store holds, as plain rows: names, proof, descent and differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind, Manifest
from mltool.artifacts.store import Store


@dataclass(frozen=True, slots=True)
class Row:
    """One artifact, or one name whose artifact cannot be read."""

    ref: str | None
    digest: str
    created_utc: str
    path: Path
    state: str
    """`here`, `missing` (only its name is here) or `damaged`."""
    manifest: Manifest | None

    @property
    def label(self) -> str:
        return self.ref or self.digest[: digest.SHORT]

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.manifest.files.values()) if self.manifest else 0

    def to_json(self) -> dict[str, Any]:
        manifest = self.manifest
        return {
            "ref": self.ref,
            "digest": self.digest,
            "created_utc": self.created_utc,
            "path": str(self.path),
            "state": self.state,
            "size_bytes": self.size_bytes if manifest else None,
            "metrics": dict(manifest.metrics) if manifest else {},
            "checks": [check.to_json() for check in manifest.checks] if manifest else [],
        }


def rows(store: Store, kind: ArtifactKind) -> list[Row]:
    """Every artifact of a kind, oldest first, without reading its files; one that has no name is among them."""
    here = {manifest.digest: (path, manifest) for path, manifest in store.manifests(kind)}
    found = []
    for ref, version in store.refs.all(kind):
        path, manifest = here.get(version.digest, (store.artifacts / version.digest[: digest.SHORT], None))
        state = "here" if manifest else "damaged" if path.is_dir() else "missing"
        found.append(Row(ref, version.digest, version.created_utc, path, state, manifest))
    named = {row.digest for row in found}
    for full, (path, manifest) in here.items():
        if full not in named:
            found.append(Row(None, full, manifest.created_utc, path, "here", manifest))
    return sorted(found, key=lambda row: row.created_utc)


def damaged(store: Store) -> list[Path]:
    """Folders among the artifacts whose manifest cannot be read."""
    readable = {path for path, _ in store.manifests()}
    return sorted(path for path in store.artifacts.glob("*") if path.is_dir() and path not in readable)


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A parent, its role, and its own parents."""

    role: str
    kind: str
    label: str
    digest: str
    present: bool
    parents: tuple[Ancestor, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "kind": self.kind,
            "name": self.label,
            "digest": self.digest,
            "present": self.present,
            "parents": [parent.to_json() for parent in self.parents],
        }


def ancestors(store: Store, artifact: Artifact) -> tuple[Ancestor, ...]:
    """Where an artifact comes from, all the way up."""
    here = {manifest.digest: manifest for _, manifest in store.manifests()}
    return _parents(artifact.manifest, here)


def _parents(manifest: Manifest, here: Mapping[str, Manifest]) -> tuple[Ancestor, ...]:
    return tuple(
        Ancestor(
            parent.role,
            parent.kind.value,
            parent.name or parent.digest[: digest.SHORT],
            parent.digest,
            parent.digest in here,
            _parents(here[parent.digest], here) if parent.digest in here else (),
        )
        for parent in manifest.parents
    )


def differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Values that differ between two nested configs, by dotted key; None stands for a key that is not there."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys((*first, *second)):
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found |= differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found[f"{prefix}{key}"] = (a, b)
    return found
