"""What a store holds, as plain rows: names, proof, descent and differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.artifacts import digest, pointers
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind, Manifest
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import ArtifactError


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
    pushed: bool = False
    """Whether there is a pointer to what a remote keeps of it."""

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
            "pushed": self.pushed,
            "size_bytes": self.size_bytes if manifest else None,
            "metrics": dict(manifest.metrics) if manifest else {},
            "checks": [check.to_json() for check in manifest.checks] if manifest else [],
        }


def rows(store: Store, kind: ArtifactKind) -> list[Row]:
    """Every artifact of a kind, oldest first, without reading its files; one that has no name is among them.

    What cannot be read is warned of, and the rest is listed all the same.
    """
    here = {manifest.digest: (path, manifest) for path, manifest in store.manifests(kind)}
    found = []
    for name in store.refs.stems(kind):
        try:
            versions = store.refs.versions(kind, name)
        except ArtifactError as error:
            events.warning(f"{error.message}; {error.hint}")
            continue
        for version in versions:
            path, manifest = here.get(version.digest, (store.artifacts / version.digest[: digest.SHORT], None))
            ref = f"{name}@{version.version}"
            pushed = pointers.path_of(store, version.digest).is_file()
            found.append(Row(ref, version.digest, version.created_utc, path, _state(path, manifest), manifest, pushed))
    named = {row.digest for row in found}
    found += [
        Row(None, full, manifest.created_utc, path, _state(path, manifest), manifest)
        for full, (path, manifest) in here.items()
        if full not in named
    ]
    for path in _unreadable(store):
        events.warning(f"`{path}` is damaged: its manifest cannot be read")
    return sorted(found, key=lambda row: row.created_utc)


def _state(path: Path, manifest: Manifest | None) -> str:
    if manifest is None:
        return "damaged" if path.is_dir() else "missing"
    return (
        "here" if all(_size(path / name) == entry.size_bytes for name, entry in manifest.files.items()) else "damaged"
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _unreadable(store: Store) -> list[Path]:
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


@dataclass(frozen=True, slots=True)
class Descent:
    """An artifact, where it comes from, and what was proved of it later."""

    artifact: Artifact
    ancestors: tuple[Ancestor, ...]
    attestations: tuple[Artifact, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.artifact.to_json(),
            "ancestors": [parent.to_json() for parent in self.ancestors],
            "attestations": [proof.to_json() for proof in self.attestations],
        }


def descent(store: Store, artifact: Artifact) -> Descent:
    """Where an artifact comes from, all the way up."""
    here = {manifest.digest: manifest for _, manifest in store.manifests()}
    return Descent(artifact, _parents(artifact.manifest, here), tuple(store.attestations(artifact)))


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two artifacts side by side."""

    first: Artifact
    second: Artifact

    @property
    def on_same_data(self) -> bool:
        """Whether both were measured on one split of the same data, so that their metrics compare."""
        return _measured_on(self.first) == _measured_on(self.second)

    @property
    def metrics(self) -> dict[str, tuple[float | None, float | None]]:
        names = dict.fromkeys((*self.first.metrics, *self.second.metrics))
        return {name: (self.first.metrics.get(name), self.second.metrics.get(name)) for name in names}

    @property
    def config(self) -> dict[str, tuple[Any, Any]]:
        """The values that differ, by dotted key; None stands for a key that is not there."""
        return _differences(self.first.config, self.second.config)

    def to_json(self) -> dict[str, Any]:
        return {
            "a": self.first.to_json(),
            "b": self.second.to_json(),
            "on_same_data": self.on_same_data,
            "metrics": {name: _pair(*both) for name, both in self.metrics.items()},
            "size_bytes": _pair(self.first.size_bytes, self.second.size_bytes),
            "config": {key: {"a": one, "b": other} for key, (one, other) in self.config.items()},
        }


def _measured_on(model: Artifact) -> tuple[object, ...]:
    data = sorted(parent.digest for parent in model.manifest.parents if parent.kind is ArtifactKind.dataset)
    return (model.manifest.facts.get("metrics_split"), *data)


def _pair(a: float | None, b: float | None) -> dict[str, float | None]:
    return {"a": a, "b": b, "difference": None if a is None or b is None else b - a}


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys((*first, *second)):
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found |= _differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found[f"{prefix}{key}"] = (a, b)
    return found
