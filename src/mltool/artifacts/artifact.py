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
from mltool.core import events
from mltool.core.errors import ArtifactError

REPORT = "report.html"
"""The page for people that an artifact may have."""
_LITTER = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))
"""What file browsers leave in every folder that somebody looks at."""


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

        A report or a history that was changed is only warned of: nothing is ever computed from it.

        Raises:
            ArtifactError: A file of what the artifact is, is missing or differs; or there is one that does not belong.
        """
        manifest = Manifest.read(path)
        found = {name for name in digest.files_below(path) if name.rpartition("/")[2] not in _LITTER} - {MANIFEST}
        strange = sorted(found - set(manifest.files))
        if strange:
            raise ArtifactError(
                f"`{path}` holds a file that does not belong to it, `{strange[0]}`", hint="delete or move it"
            )
        for name, entry in manifest.files.items():
            if name in found and digest.of_file(path / name) == entry.sha256:
                continue
            what = "was changed after it was written" if name in found else "is missing"
            if entry.identity:
                raise ArtifactError(f"`{path / name}` {what}", hint="make the artifact again")
            events.warning(f"`{path / name}` {what}; the {manifest.kind.value} itself is whole")
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
