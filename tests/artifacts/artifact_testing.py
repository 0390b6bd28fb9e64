"""Artifacts to try things on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store

FILES = {"weights.bin": b"\0\1\2\3" * 64, "reference/columns.json": b'{"a": 1}\n', "report.html": b"<p>as seen</p>\n"}


def commit(
    store: Store,
    name: str | None = "digits",
    *,
    kind: ArtifactKind = ArtifactKind.model,
    files: Mapping[str, bytes] = FILES,
    config: Mapping[str, Any] | None = None,
    not_identity: tuple[str, ...] = ("report.html",),
    **facts: Any,
) -> Artifact:
    with store.draft(kind) as draft:
        for file, content in files.items():
            draft.path(file).write_bytes(content)
        return draft.commit(name, config=config or {"train": {"lr": 0.1}}, not_identity=not_identity, **facts)
