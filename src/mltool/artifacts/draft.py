"""An artifact that is being written."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check, any_failed
from mltool.artifacts.manifest import MANIFEST, ArtifactKind, FileEntry, Manifest, Parent, finite
from mltool.artifacts.references import References, check_name
from mltool.artifacts.writing import write_json, write_text
from mltool.core.errors import ArtifactError
from mltool.core.version import version


class Draft:
    """An artifact that is being written; nobody sees it before `commit`."""

    def __init__(
        self, kind: ArtifactKind, folder: Path, publish: Callable[[Path, Manifest], Path], refs: References
    ) -> None:
        self.kind, self.folder, self._publish, self._refs = kind, folder, publish, refs

    def path(self, name: str) -> Path:
        """Where to write the file `name`; its folder is made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def commit(
        self,
        name: str | None,
        *,
        config: Mapping[str, Any],
        parents: Iterable[Parent] = (),
        metrics: Mapping[str, float] | None = None,
        signature: Mapping[str, Any] | None = None,
        checks: Iterable[Check] = (),
        facts: Mapping[str, Any] | None = None,
        not_identity: Iterable[str] = (),
        pages: Mapping[str, Callable[[str], str]] | None = None,
        weights: str | None = None,
    ) -> Artifact:
        """Seal the files, move them into the store and name them.

        An artifact with a failed check gets no name: it can be reached by its digest only.

        Args:
            name: The name whose next version it becomes; None for none.
            not_identity: Files that say something about the artifact but are not what it is: reports, histories.
            pages: What to write for people when the digest is known, by file name; not part of the identity.
            weights: The file whose digest is the digest of the weights.
        """
        if name is not None:
            check_name(name)
        outside = set(not_identity)
        files = {file: self._entry(file, file not in outside) for file in digest.files_below(self.folder)}
        checks = tuple(checks)
        unnumbered = Manifest(
            kind=self.kind,
            digest="",
            created_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            mltool_version=version(),
            parents=tuple(parents),
            config=dict(config),
            metrics=finite(metrics or {}),
            signature=dict(signature or {}),
            checks=checks,
            facts=dict(facts or {}),
            files=files,
            weights_digest=files[weights].sha256 if weights else None,
        )
        full_digest = unnumbered.identity_digest()
        for file, page in (pages or {}).items():
            write_text(self.path(file), page(full_digest))
            files[file] = self._entry(file, identity=False)
        manifest = replace(unnumbered, digest=full_digest, files=files)
        # Written last: a directory without it is an interrupted run, safe to delete.
        write_json(self.folder / MANIFEST, manifest.to_json())
        ref = None
        with self._refs.locked():  # else `gc` may meet it before it has its name
            path = self._publish(self.folder, manifest)
            if name is not None and not any_failed(checks):
                ref = self._refs.add(self.kind, name, manifest.digest, manifest.created_utc)
            return Artifact(path, Manifest.read(path), ref)

    def adopt(self, digest_: str, ref: str | None) -> Artifact:
        """Move an artifact that came from elsewhere into the store, if it is the one that was asked for.

        Args:
            ref: A name that the artifact has already; it gets no other.

        Raises:
            ArtifactError: A file is missing or differs, or it is another artifact.
        """
        manifest = Artifact.open(self.folder).manifest
        if (manifest.kind, manifest.digest) != (self.kind, digest_):
            raise ArtifactError(f"what came is the {manifest.kind.value} {manifest.digest[: digest.SHORT]}")
        with self._refs.locked():
            return Artifact(self._publish(self.folder, manifest), manifest, ref)

    def _entry(self, file: str, identity: bool) -> FileEntry:
        path = self.folder / file
        return FileEntry(digest.of_file(path), path.stat().st_size, identity)
