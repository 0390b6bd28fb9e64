"""Deleting what a reference names, after a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mltool.artifacts.artifact import Artifact
from mltool.cli.asking import confirmed
from mltool.cli.listing import show_removed
from mltool.core.errors import ArtifactError


def remove(ref: str, load: Callable[[str], Artifact], rm: Callable[[str], Sequence[str]], *, yes: bool) -> None:
    """Delete an artifact and its names; where only a name is left, that."""
    try:
        artifact = load(ref)
    except ArtifactError as error:
        if "its files are not in this store" not in error.message:
            raise
        if confirmed(f"take the name `{ref}` away? its files are not here", yes=yes):
            show_removed([], names=rm(ref), num_bytes=0)
        return
    if confirmed(f"delete `{artifact.label}` in `{artifact.path}`?", yes=yes):
        names = rm(str(artifact.path))  # the one that was asked about, whatever `latest` is by now
        show_removed([artifact.path], names=names, num_bytes=artifact.size_bytes)
