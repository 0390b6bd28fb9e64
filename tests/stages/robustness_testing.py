"""What the tests of robustness ladders share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.stages.monitor.ladder import Ladder, Rung

QUICK = {"corruptions": ("noisy_numbers",), "redraws": 5, "windows": (10, 50)}


def rungs(ladder: Ladder, corruption: str, column: str = "") -> list[Rung]:
    found = [rung for rung in ladder.rungs if (rung.corruption, rung.column) == (corruption, column)]
    assert [rung.severity for rung in found] == [1, 2, 3, 4, 5]
    return found


def copy_of(
    model: Artifact,
    store: Store,
    name: str,
    parents: Sequence[Parent] | None = None,
    config: Mapping[str, Any] | None = None,
    **files: bytes | None,
) -> Artifact:
    """A model that differs from another in some files; None leaves one out."""
    with store.draft(ArtifactKind.model) as draft:
        for path in sorted(p for p in model.path.rglob("*") if p.is_file() and p.name not in ("artifact.json", REPORT)):
            own = path.relative_to(model.path).as_posix()
            content = files.get(own.replace(".", "_").replace("/", "_"), path.read_bytes())
            if content is not None:
                draft.path(own).write_bytes(content)
        manifest = model.manifest
        return draft.commit(
            name,
            config=config or manifest.config,
            signature=manifest.signature,
            parents=manifest.parents if parents is None else parents,
            facts=manifest.facts,
            not_identity=("history.jsonl",),
        )
