"""An artifact: an immutable directory that carries its proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mltool.artifacts import digest
from mltool.artifacts.checks import Check, any_failed
from mltool.artifacts.manifest import MANIFEST, ArtifactKind, Manifest
from mltool.core.errors import ArtifactError


@dataclass(frozen=True, repr=False)
class Artifact:
    """A verified artifact on disk.

    Attributes:
        ref: The reference it was found by or given, such as `digits@3`; None for one that has no name.
    """

    path: Path
    manifest: Manifest
    ref: str | None = None

    @classmethod
    def open(cls, path: Path, ref: str | None = None) -> Artifact:
        """Load an artifact after every one of its files has been compared with its digest.

        Raises:
            ArtifactError: A file is missing, additional, or differs from its digest.
        """
        manifest = Manifest.read(path)
        listed, found = set(manifest.files), set(digest.files_below(path)) - {MANIFEST}
        if listed != found:
            name = sorted(listed ^ found)[0]
            what = "lacks" if name in listed else "holds a file that does not belong to it,"
            raise ArtifactError(f"`{path}` {what} `{name}`", hint="make the artifact again")
        for name, entry in manifest.files.items():
            if digest.of_file(path / name) != entry.sha256:
                raise ArtifactError(f"`{path / name}` was changed after it was written", hint="make the artifact again")
        if manifest.identity_digest() != manifest.digest:
            raise ArtifactError(f"`{path}` does not have the digest that it claims", hint="make the artifact again")
        return cls(path, manifest, ref)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label})"

    @property
    def kind(self) -> ArtifactKind:
        return self.manifest.kind

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def name(self) -> str | None:
        return self.ref.partition("@")[0] if self.ref else None

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.manifest.metrics

    @property
    def checks(self) -> tuple[Check, ...]:
        return self.manifest.checks

    @property
    def config(self) -> Mapping[str, Any]:
        return self.manifest.config

    @property
    def label(self) -> str:
        """How to speak of it: its reference, else the start of its digest."""
        return self.ref or self.digest[: digest.SHORT]

    @cached_property
    def has_failed_checks(self) -> bool:
        return any_failed(self.checks)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.manifest.files.values())

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: the manifest with the path and the reference."""
        body = self.manifest.to_json()
        del body["seal"]
        return {"path": str(self.path), "ref": self.ref, **body}
