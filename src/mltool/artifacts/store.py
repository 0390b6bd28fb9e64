"""The store: artifacts by digest, written whole or not at all.

.mltool/artifacts/<digest12>/   the artifacts (git-ignored)
.mltool/refs/<kind>/<name>.json their names (committed)
.mltool/staging/                what is being written; whatever a killed process left there is safe to delete
.mltool/runs/                   unfinished and finished training runs
.mltool/studies/                searches: the journal of all trials, the best config, the page
.mltool/deployments/            what is in service, and its logs (`records/ledger.py`)
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check, any_failed
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.draft import Draft
from mltool.artifacts.manifest import MANIFEST, ArtifactKind, Manifest, Parent, finite
from mltool.artifacts.references import LATEST, References, Version, check_name
from mltool.artifacts.writing import write_json
from mltool.core import events, units
from mltool.core.config.settings import find_project
from mltool.core.errors import ArtifactError, MltoolError

_IGNORED_LATER = ("deployments/", "gcp/", "studies/")
"""What a store that was made before does not ignore yet."""
_IGNORED = "\n".join(("artifacts/", "runs/", "staging/", *_IGNORED_LATER, "*.lock", "*.tmp\n"))


class Store:
    """The artifacts of one project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.artifacts, self.staging = root / "artifacts", root / "staging"
        self.runs, self.studies = root / "runs", root / "studies"
        self.refs = References(root / "refs")

    @contextmanager
    def draft(self, kind: ArtifactKind) -> Iterator[Draft]:
        """A folder on the store's own volume to write an artifact in; removed unless it was committed.

        Raises:
            MltoolError: The disk is full or the folder cannot be written.
        """
        folder = self.staging / f"{kind.value}-{uuid.uuid4().hex}"
        with explained_disk_errors(self.root):
            self._prepare()
            lock = FileLock(f"{folder}.lock")  # held while we live: `gc` removes only what nobody writes
            lock.acquire()
            try:
                folder.mkdir()
                yield Draft(kind, folder, self._publish, self.refs)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()
                Path(f"{folder}.lock").unlink(missing_ok=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the store's own volume for what is tried and thrown away."""
        with explained_disk_errors(self.root):
            self._prepare()
            with tempfile.TemporaryDirectory(dir=self.staging, prefix="scratch-") as folder:
                yield Path(folder)

    def expect_space(self, num_bytes: int) -> None:
        """Refuse what the disk cannot hold before any of it is written.

        Raises:
            MltoolError: Less is free.
        """
        free = shutil.disk_usage(self.root).free
        if num_bytes > free:
            raise MltoolError(
                f"{units.size(num_bytes)} are needed, but only {units.size(free)} are free in `{self.root}`",
                hint="free some space, or set MLTOOL_HOME to a folder on a larger disk",
            )

    def _prepare(self) -> None:
        for folder in (self.artifacts, self.staging, self.refs.folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError as error:  # a parent can neither be found nor made, as below /proc
                raise MltoolError(
                    f"`{folder}` cannot be made: {error.strerror}",
                    hint="set MLTOOL_HOME to a folder that can be written",
                ) from error
        write_ignored(self.root)

    def _publish(self, folder: Path, manifest: Manifest) -> Path:
        """Move a sealed folder to its place; an equal artifact that stands there is kept if it is no worse."""
        target = self.artifacts / manifest.digest[: digest.SHORT]
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES) or not target.is_dir():
                raise
            if _is_worse(target, manifest):
                replaced = self.staging / f"replaced-{uuid.uuid4().hex}"
                target.rename(replaced)
                folder.rename(target)
                shutil.rmtree(replaced, ignore_errors=True)
        return target

    def find(self, ref: str, kind: ArtifactKind) -> Artifact:
        """Load an artifact by path, digest prefix, `name`, `name@3`, `latest`, or a file that `--json` was written to.

        Raises:
            ArtifactError: There is none, several fit, it is of another kind, or it is damaged.
        """
        found_by: str | None
        if ref == LATEST:
            found_by, path = self._latest(kind)
            events.info(f"latest is {found_by}")
        elif Path(ref).suffix == ".json" and Path(ref).is_file():
            found_by, path = None, self._by_result(Path(ref), kind)
        elif _is_path(ref):
            found_by, path = None, Path(ref).resolve()
        else:
            found_by, path = self._by_name(ref, kind) or (None, self._by_digest(ref, kind))
        artifact = Artifact.open(path, found_by)
        if found_by and artifact.digest != self._digest_of(found_by, kind):
            raise ArtifactError(f"`{path}` holds another artifact than `{found_by}`", hint="make the artifact again")
        if artifact.kind is not kind:
            raise ArtifactError(f"`{ref}` is a {artifact.kind.value}, but a {kind.value} is needed")
        return artifact if found_by else Artifact(path, artifact.manifest, self.name_of(artifact))

    def _latest(self, kind: ArtifactKind) -> tuple[str, Path]:
        named = list(self.refs.all(kind))
        present = [(ref, version) for ref, version in named if self._folder(version.digest).is_dir()]
        if not present:
            lost = f"`{named[-1][0]}` has a name, but its files are not in this store; " if named else ""
            raise ArtifactError(
                f"{lost}there is no {kind.value} in `{self.root}` yet",
                hint="make one with `mltool train`"
                if kind is ArtifactKind.model
                else "make one with `mltool data add`",
            )
        ref, version = max(
            present, key=lambda item: (item[1].created_utc, self._folder(item[1].digest).stat().st_mtime)
        )
        return ref, self._folder(version.digest)

    def _by_name(self, ref: str, kind: ArtifactKind) -> tuple[str, Path] | None:
        known = self.version_of(ref, kind)
        if known is None:
            return None
        found, version = known
        folder = self._folder(version.digest)
        if not folder.is_dir():
            verb = "data" if kind is ArtifactKind.dataset else "models"
            fetch = f"`mltool data pull {found}` fetches it, and " if kind is ArtifactKind.dataset else ""
            raise ArtifactError(
                f"`{found}` has a name, but its files are not in this store",
                hint=f"{fetch}`mltool {verb} rm {found}` takes the name away",
            )
        return found, folder

    def version_of(self, ref: str, kind: ArtifactKind) -> tuple[str, Version] | None:
        """What `name` or `name@3` refers to, whether its files are here or not; None if there is no such name.

        Raises:
            ArtifactError: The name has no such version, or its pointer file is damaged.
        """
        name, at, number = ref.partition("@")
        versions = self.refs.versions(kind, check_name(name))
        if not versions:
            if at:
                raise ArtifactError(f"there is no {kind.value} `{name}`", hint=self._known(kind))
            return None
        wanted = [v for v in versions if not at or str(v.version) == number]
        if not wanted:
            raise ArtifactError(
                f"there is no `{ref}`", hint=f"`{name}` has the versions {', '.join(str(v.version) for v in versions)}"
            )
        return f"{name}@{wanted[-1].version}", wanted[-1]

    def _by_digest(self, prefix: str, kind: ArtifactKind) -> Path:
        if len(prefix) >= 4 and all(c in "0123456789abcdef" for c in prefix):
            fitting = [path for path in self.artifacts.glob(f"{prefix[: digest.SHORT]}*") if path.is_dir()]
            if len(fitting) > 1:
                raise ArtifactError(f"`{prefix}` fits {len(fitting)} artifacts", hint="give more of the digest")
            if fitting and Manifest.read(fitting[0]).digest.startswith(prefix):
                return fitting[0]
        raise ArtifactError(f"there is no {kind.value} `{prefix}`", hint=self._known(kind))

    def _by_result(self, file: Path, kind: ArtifactKind) -> Path:
        """The artifact that the verb made whose `--json` is in a file."""
        try:
            result = json.loads(file.read_bytes())
            full_digest = result["digest"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"`{file}` is no result of a verb that makes a {kind.value}") from error
        if "error" in result:
            raise ArtifactError(
                f"`{file}` says that its verb failed", hint="mend what it names, and run that verb again"
            )
        return self._by_digest(str(full_digest), kind)

    def _known(self, kind: ArtifactKind) -> str:
        names = self.refs.names(kind)
        return f"known are {', '.join(names[:8])}" if names else f"there is no {kind.value} yet"

    def _folder(self, full_digest: str) -> Path:
        return self.artifacts / full_digest[: digest.SHORT]

    def _digest_of(self, ref: str, kind: ArtifactKind) -> str | None:
        return next((version.digest for known, version in self.refs.all(kind) if known == ref), None)

    def holds(self, artifact: Artifact) -> bool:
        """Whether an artifact is one of this store, rather than a folder that was found by its path."""
        return artifact.path.resolve().parent == self.artifacts.resolve()

    def name_of(self, artifact: Artifact) -> str | None:
        """The newest reference to an artifact, or None."""
        fitting = [(v.created_utc, ref) for ref, v in self.refs.all(artifact.kind) if v.digest == artifact.digest]
        return max(fitting, key=lambda found: found[0])[1] if fitting else None

    def manifests(self, kind: ArtifactKind | None = None) -> list[tuple[Path, Manifest]]:
        """Every readable manifest, oldest first; a damaged one is left out, `find` says what is wrong."""
        found = []
        for path in sorted(self.artifacts.glob("*")):
            try:
                manifest = Manifest.read(path)
            except ArtifactError:
                continue
            if kind in (None, manifest.kind):
                found.append((path, manifest))
        return sorted(found, key=lambda item: (item[1].created_utc, item[0].stat().st_mtime_ns))

    def attest(
        self,
        subject: Artifact,
        claim: str,
        *,
        checks: Iterable[Check] = (),
        metrics: Mapping[str, float] | None = None,
        facts: Mapping[str, Any] | None = None,
        identity: Mapping[str, Any] | None = None,
        pages: Mapping[str, Callable[[str], str]] | None = None,
    ) -> Artifact:
        """Write proof that comes later: an artifact of its own that names the digest it speaks of.

        Args:
            claim: What it is about, such as `profile` or `promotion`.
            identity: What tells it apart from another one of the same claim, checks and metrics.
            pages: What to write for people when its own digest is known, by file name.
        """
        checks = tuple(checks)
        with self.draft(ArtifactKind.attestation) as draft:
            body = {"claim": claim, "checks": [check.to_json() for check in checks], "metrics": finite(metrics or {})}
            write_json(draft.path("claim.json"), body)
            return draft.commit(
                None,
                config={**(identity or {}), "claim": claim, "subject": subject.digest},
                parents=[Parent("subject", subject.kind, subject.digest, subject.ref)],
                metrics=metrics,
                checks=checks,
                facts=facts,
                pages=pages,
            )

    def attestations(self, subject: Artifact) -> list[Artifact]:
        """All attestations of an artifact, oldest first."""
        fitting = (
            path
            for path, manifest in self.manifests(ArtifactKind.attestation)
            if manifest.config.get("subject") == subject.digest
        )
        return [Artifact.open(path) for path in fitting]

    def forget(self, ref: str, kind: ArtifactKind) -> list[str]:
        """Take the names from an artifact whose files are not in this store, and return them; none if it is here."""
        lost = [v.digest for known, v in self.refs.all(kind) if known == ref and not self._folder(v.digest).is_dir()]
        return [name for full in lost for name in self.refs.remove(kind, full)]

    def remove(self, artifact: Artifact) -> list[str]:
        """Delete an artifact of this store and its names, and return the names.

        Raises:
            ArtifactError: The artifact is not in this store.
        """
        if not self.holds(artifact):
            raise ArtifactError(
                f"`{artifact.path}` is not in the store `{self.root}`",
                hint="run mltool in the project that it belongs to",
            )
        doomed = self.staging / f"removed-{uuid.uuid4().hex}"
        with explained_disk_errors(self.root):
            self._prepare()
            names = self.refs.remove(artifact.kind, artifact.digest)
            artifact.path.rename(doomed)  # at once, so that nobody loads half of it
            shutil.rmtree(doomed)
        return names


def write_ignored(root: Path) -> None:
    """Keep git from what is of this machine only; what else somebody made of the file stays."""
    path = root / ".gitignore"
    if not path.exists():
        path.write_text(_IGNORED, encoding="utf-8")
        return
    content = path.read_bytes()
    missing = [line for line in _IGNORED_LATER if line.encode() not in content]
    if missing:
        path.write_bytes(b"\n".join((content.rstrip(), *(line.encode() for line in missing), b"")))


def open_store(project: Path | None = None) -> Store:
    """The store of the project around the current folder; `MLTOOL_HOME` overrides."""
    home = os.environ.get("MLTOOL_HOME")
    return Store(Path(home).resolve() if home else (project or find_project()) / ".mltool")


def _is_worse(standing: Path, manifest: Manifest) -> bool:
    """Whether what stands there is damaged, or failed a check that the equal artifact of `manifest` passed."""
    try:
        return Artifact.open(standing).has_failed_checks and not any_failed(manifest.checks)
    except ArtifactError:
        return True


def _is_path(ref: str) -> bool:
    return "/" in ref or os.sep in ref or ref in (".", "..") or (Path(ref) / MANIFEST).is_file()
