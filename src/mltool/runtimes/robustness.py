"""What is known of how a model takes damaged data, for whoever is about to deploy it.

It informs and holds nothing up: how much damage is bearable, and how likely, only the user knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import ArtifactError

CLAIM = "robustness"


def newest_ladder(model: Artifact, store: Store) -> Mapping[str, Any] | None:
    """The ladder that was attested last, as plain data; None if there is none."""
    found = [proof for proof in store.attestations(model) if proof.config.get("claim") == CLAIM]
    ladder = found[-1].manifest.facts.get("robustness") if found else None
    return ladder if isinstance(ladder, Mapping) else None


def robustness_in_words(model: Artifact, store: Store) -> str:
    """One line for the plan of a deployment."""
    ladder = newest_ladder(model, store)
    if ladder is not None:
        return str(ladder.get("summary", ""))
    parent = _float_model(model, store)
    ladder = newest_ladder(parent, store) if parent is not None else None
    if parent is not None and ladder is not None:
        return (
            f"no robustness ladder of its own; of `{parent.label}`, which it was made from, {ladder.get('summary', '')}"
        )
    return f"no robustness ladder yet: `mltool monitor robustness {model.label}`"


def _float_model(model: Artifact, store: Store) -> Artifact | None:
    """The model that a variant was made from, if it is here."""
    parent = next((one for one in model.manifest.parents if one.kind is ArtifactKind.model), None)
    try:
        return store.find(parent.digest, ArtifactKind.model) if parent is not None else None
    except ArtifactError:
        return None


def tell_robustness(model: Artifact, store: Store) -> None:
    """Say that line, before a model is deployed."""
    events.info(f"`{model.label}`: {robustness_in_words(model, store)}")
