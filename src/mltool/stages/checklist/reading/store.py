"""What mltool itself recorded in a project: models, datasets, proof, deployments."""

from __future__ import annotations

import json
import posixpath
from functools import cached_property

from mltool.artifacts.manifest import ArtifactKind, Manifest
from mltool.core.errors import MltoolError
from mltool.records.deployment import DeployedVersion, Deployment, VersionState
from mltool.records.ledger import Ledger
from mltool.stages.checklist.project import STORE, File, Project

_FLOAT_MODEL = "float model"
MAX_MANIFESTS = 500
"""The newest; each is verified, which takes a while."""
MAX_MANIFEST_BYTES = 16 << 20
MAX_JOURNAL_BYTES = 64 << 20
_FINISHED = (1, 2)
"""Complete and pruned, as Optuna writes them."""


class Recorded:
    def __init__(self, project: Project) -> None:
        self._project = project

    @cached_property
    def manifests(self) -> list[Manifest]:
        """Of every artifact whose files are here; one that was edited is a problem and no evidence."""
        found = []
        own = self._project.recorded(r"artifacts/[^/]+/artifact\.json")
        for file in sorted(own, key=lambda one: -one.modified_s)[:MAX_MANIFESTS]:
            if file.is_link or file.size_bytes > MAX_MANIFEST_BYTES:
                continue
            path = file.path
            try:
                found.append(Manifest.read(self._project.root / posixpath.dirname(path)))
            except (MltoolError, RecursionError) as error:
                self._project.report(path, f"is no evidence: {error}")
        return sorted(found, key=lambda one: one.created_utc)

    def names(self, kind: str) -> list[str]:
        """The names in `.mltool/refs`, which are committed even where the artifacts are not."""
        return [file.name.removesuffix(".json") for file in self._project.recorded(f"refs/{kind}/.+")]

    def of(self, kind: ArtifactKind) -> list[Manifest]:
        return [one for one in self.manifests if one.kind is kind]

    @property
    def models(self) -> list[Manifest]:
        return self.of(ArtifactKind.model)

    def variants(self, made_by: str) -> list[Manifest]:
        """Models that `quantize` or `compile` made from a float model."""
        return [
            one
            for one in self.models
            if one.facts.get("made_by") == made_by and any(parent.role == _FLOAT_MODEL for parent in one.parents)
        ]

    def attested(self, *claims: str) -> list[Manifest]:
        """Proof that came later, by what it is about: the whole name of the claim, or a part of it."""
        proofs = self.of(ArtifactKind.attestation)
        return [one for one in proofs if any(claim in str(one.config.get("claim", "")) for claim in claims)]

    @cached_property
    def deployments(self) -> list[Deployment]:
        found = []
        for file in self._project.recorded(r"deployments/[^/]+/deployment\.json"):
            if file.is_link or file.size_bytes > 8 << 20:
                continue
            try:
                found.append(Ledger(self._project.root / STORE).read(file.path.split("/")[2]))
            except (MltoolError, RecursionError) as error:
                self._project.report(file.path, f"is no evidence: {error}")
        return found

    @cached_property
    def studies(self) -> dict[str, int]:
        """How many trials of each search were finished, by its name."""
        found = {}
        for file in self._project.recorded(r"studies/[^/]+/study\.json"):
            folder = posixpath.dirname(file.path)
            journal = self._project.records.get(f"{folder}/journal.log")
            found[posixpath.basename(folder)] = 0 if journal is None or journal.is_link else self._num_trials(journal)
        return found

    def _num_trials(self, journal: File) -> int:
        lines = (self._project.bytes_of(journal.path, MAX_JOURNAL_BYTES) or b"").splitlines()
        finished = set()
        for line in lines:
            try:
                entry = json.loads(line) if b'"datetime_complete"' in line else {}
            except (ValueError, RecursionError):  # cut off, or of somebody else
                continue
            if isinstance(entry, dict) and entry.get("state") in _FINISHED:
                finished.add(str(entry.get("trial_id")))
        return len(finished)

    def answered(self, target: str = "", *, on_stand_ins: bool | None = None) -> list[str]:
        """Deployments with a version that has answered, in words; to one target or to any.

        Args:
            on_stand_ins: Those to the stand-ins of `gcp emulate`, or those to the real thing; None for both.
        """
        return [
            f"`{one.name}` to {one.target}, version {version.number}, answered {day(version.live_utc or '')}"
            for one in self.deployments
            if target in one.target and (version := _last_live(one, on_stand_ins)) is not None
        ]


def _last_live(deployment: Deployment, on_stand_ins: bool | None) -> DeployedVersion | None:
    lived = [v for v in deployment.versions if v.live_utc is not None and v.state is not VersionState.failed]
    wanted = [v for v in lived if on_stand_ins in (None, bool(v.config.get("emulator")))]
    return wanted[-1] if wanted else None


def day(created_utc: str) -> str:
    return created_utc[:10]


def label(model: Manifest) -> str:
    return f"`{model.digest[:12]}` of {day(model.created_utc)}"
