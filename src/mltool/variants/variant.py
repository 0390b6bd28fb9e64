"""From what was tried to a model that stands beside its parent, or to the parent that stays."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.checks import any_failed
from mltool.artifacts.draft import Draft
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.core import events, host
from mltool.core.errors import CheckError
from mltool.datasets.schema import SCHEMA
from mltool.reports.variant_page import VariantReport, variant_page
from mltool.runtimes.candidate import Tried
from mltool.runtimes.config import GRAPH
from mltool.runtimes.evaluation import metrics_on_its_split
from mltool.runtimes.runner import Signature, load, unfinished
from mltool.runtimes.samples import SAMPLES
from mltool.statistics.reference import Reference

FLOAT_MODEL = "float model"
"""The role of the model that a variant is made from."""
REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Variant:
    """What came of an optimisation.

    Attributes:
        artifact: The new model, or the one that stays because nothing paid.
        tried: Everything that was tried, what had to be beaten first.
    """

    artifact: Artifact
    tried: tuple[Tried, ...]
    kept_parent: bool

    @property
    def chosen(self) -> Tried:
        return next(one for one in self.tried if one.outcome == ("kept" if self.kept_parent else "chosen"))

    def to_json(self) -> dict[str, Any]:
        return {
            **self.artifact.to_json(),
            "kept_parent": self.kept_parent,
            "speedup": self.chosen.speedup,
            "candidates": [one.to_json() for one in self.tried],
        }


def float_ancestor(model: Artifact, store: Store) -> Artifact:
    """The float model that a variant was made from; a float model is its own.

    Raises:
        ArtifactError: It is not in this store any more.
    """
    parent = next((parent for parent in model.manifest.parents if parent.role == FLOAT_MODEL), None)
    if parent is None:
        return model
    base = store.find(parent.digest, ArtifactKind.model)
    events.info(f"`{model.label}` is a variant of `{base.label}`, so it starts from there")
    return base


def keep_parent(to_beat: Artifact, tried: Sequence[Tried], store: Store, claim: str) -> Variant:
    """Nothing pays: what is used today stays, with an attestation of everything that was tried."""
    store.attest(to_beat, claim, facts={"candidates": [one.to_json() for one in tried], "host": host.facts()})
    return Variant(to_beat, tuple(tried), kept_parent=True)


def make_variant(
    draft: Draft,
    base: Artifact,
    chosen: Tried,
    tried: Sequence[Tried],
    store: Store,
    *,
    graphs: Path,
    claim: str,
    config: Mapping[str, Any],
) -> Variant:
    """Store the chosen candidate as a model of its own: everything it needs to answer and to be watched.

    Raises:
        CheckError: It failed a check. It is kept without a name, and the error carries it.
    """
    candidate, has_failed = chosen.candidate, any_failed(chosen.checks)
    marked = replace(chosen, outcome="failed" if has_failed else "chosen")
    tried = tuple(marked if one is chosen else one for one in tried)
    for name in (SCHEMA, SAMPLES):
        shutil.copy(base.path / name, draft.path(name))
    shutil.copy(graphs / candidate.scheme / GRAPH, draft.path(GRAPH))
    signature = Signature.from_json(base.manifest.signature)
    runner = load(unfinished(draft.folder, signature, candidate.run()))
    reference = Reference.load(base.path / REFERENCE)
    # Watching compares answers with what this model answered, not with what the float model did.
    # The rows have the names of the data's columns; a network of somebody else calls its inputs as it likes.
    rows = dict(zip((spec.name for spec in signature.inputs), reference.rows.values(), strict=True))
    dataclasses.replace(reference, outputs=runner.run(rows)).save(draft.path(REFERENCE))
    metrics, split = metrics_on_its_split(base, runner, store)
    # Why the checks allow what they allow stands in the config; so does how the model is to be run.
    full_config = {**base.config, claim: dict(config), "scheme": candidate.scheme, "run": candidate.run()}
    facts: dict[str, Any] = {"host": host.facts(), "metrics_split": split, "made_by": claim}
    report = VariantReport(
        title=base.name or base.label,
        claim=claim,
        parent=base.label,
        candidates=[one.to_json() for one in tried],
        chosen=marked.to_json(),
        checks=[check.to_json() for check in chosen.checks],
        metrics={name: (base.metrics.get(name), value) for name, value in metrics.items()},
        metrics_split=split,
        config={claim: dict(config), "run": candidate.run()},
        host=facts["host"],
    )
    artifact = draft.commit(
        base.name,
        config=full_config,
        parents=[Parent(FLOAT_MODEL, base.kind, base.digest, base.ref), *base.manifest.parents],
        metrics={**metrics, **_measured(chosen)},
        signature=base.manifest.signature,
        checks=chosen.checks,
        facts={**facts, "candidates": [one.to_json() for one in tried]},
        pages={REPORT: lambda digest: variant_page(replace(report, digest=digest))},
    )
    if has_failed:
        raise CheckError(
            f"the variant is kept as `{artifact.label}`, but gets no name because a check failed: {chosen.reason}",
            hint=f"`{base.label}` stays; `mltool models show {artifact.label}` shows all checks",
            artifact=artifact,
        )
    return Variant(artifact, tried, kept_parent=False)


def _measured(chosen: Tried) -> dict[str, float]:
    named = {"latency_ms": chosen.latency_ms, "speedup": chosen.speedup, "size_mib": chosen.size_mib}
    return {name: value for name, value in named.items() if value is not None}
