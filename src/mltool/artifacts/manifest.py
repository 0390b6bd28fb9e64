"""`artifact.json`: what an artifact is, where it came from, and what was verified."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mltool.artifacts import digest
from mltool.artifacts.checks import Check
from mltool.artifacts.writing import json_text
from mltool.core.errors import ArtifactError

MANIFEST = "artifact.json"
SCHEMA_VERSION = 1


class LaterVersionError(ArtifactError):
    """The artifact may be sound, but this mltool cannot tell."""


class ArtifactKind(StrEnum):
    dataset = "dataset"
    model = "model"
    attestation = "attestation"


@dataclass(frozen=True, slots=True)
class Parent:
    role: str
    """What the parent was to this artifact: `data`, `float model`, `subject`."""
    kind: ArtifactKind
    digest: str
    name: str | None = None
    """The reference it had then, such as `digits@1`."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    sha256: str
    size_bytes: int
    identity: bool
    """Whether the file is part of what the artifact is; reports and histories are not."""


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that are numbers; what could not be measured has none, and JSON holds no NaN."""
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


@dataclass(frozen=True, slots=True)
class Manifest:
    kind: ArtifactKind
    digest: str
    created_utc: str
    mltool_version: str
    parents: tuple[Parent, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    signature: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth knowing that is not part of the identity: host, provenance, notes."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    weights_digest: str | None = None

    def to_json(self) -> dict[str, Any]:
        body = {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind.value,
            "digest": self.digest,
            "weights_digest": self.weights_digest,
            "created_utc": self.created_utc,
            "mltool_version": self.mltool_version,
            "parents": [
                {"role": p.role, "kind": p.kind.value, "digest": p.digest, "name": p.name} for p in self.parents
            ],
            "config": self.config,
            "metrics": self.metrics,
            "signature": self.signature,
            "checks": [check.to_json() for check in self.checks],
            "facts": self.facts,
            "files": {
                name: {"sha256": f.sha256, "size_bytes": f.size_bytes, "identity": f.identity}
                for name, f in self.files.items()
            },
        }
        return {**body, "seal": digest.of_json(body)}

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and verify the manifest of an artifact.

        Raises:
            ArtifactError: It is missing, not ours, of a later version, or was edited.
        """
        path = folder / MANIFEST
        try:
            text = path.read_bytes()
            data = json.loads(text)
            version = data["schema_version"]
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactError(f"`{folder}` holds no artifact", hint=f"an artifact has a `{MANIFEST}`") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"`{path}` is damaged: {error}") from error
        if version != SCHEMA_VERSION:
            raise LaterVersionError(f"`{folder}` has schema version `{version}`", hint="upgrade mltool to read it")
        try:
            as_written = json_text(data).encode()  # a second entry of the same name would not change the seal
            seal = data.pop("seal")
            if seal != digest.of_json(data) or text != as_written:
                raise ArtifactError(f"`{path}` was edited after it was written", hint="make the artifact again")
            return cls(
                kind=ArtifactKind(data["kind"]),
                digest=data["digest"],
                weights_digest=data["weights_digest"],
                created_utc=data["created_utc"],
                mltool_version=data["mltool_version"],
                parents=tuple(
                    Parent(p["role"], ArtifactKind(p["kind"]), p["digest"], p["name"]) for p in data["parents"]
                ),
                config=data["config"],
                metrics=data["metrics"],
                signature=data["signature"],
                checks=tuple(Check.from_json(check) for check in data["checks"]),
                facts=data["facts"],
                files={name: FileEntry(**entry) for name, entry in data["files"].items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"`{path}` is damaged: {error!r}") from error

    def identity_digest(self) -> str:
        """The digest of what the artifact is: kind, config, signature and identity files; no dates, no timings."""
        files = {name: entry.sha256 for name, entry in self.files.items() if entry.identity}
        identity = {"kind": self.kind.value, "config": self.config, "signature": self.signature, "files": files}
        return digest.of_json(identity)
