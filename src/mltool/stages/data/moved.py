"""What a push or a pull did, and what a listing says of each place, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.integrations.dvc.tracked import TrackedOut


@dataclass(frozen=True, slots=True)
class MovedDataset:
    """A dataset that is here and in the remote now."""

    ref: str
    digest: str
    path: Path
    pointer: Path
    """What to commit, so that others find it."""
    num_files: int
    size_bytes: int
    num_moved: int
    """Files that were not at the other end before."""
    moved_bytes: int

    def to_json(self) -> dict[str, Any]:
        return {
            "ref": self.ref,
            "digest": self.digest,
            "path": str(self.path),
            "pointer": str(self.pointer),
            "num_files": self.num_files,
            "size_bytes": self.size_bytes,
            "num_moved": self.num_moved,
            "moved_bytes": self.moved_bytes,
        }


@dataclass(frozen=True, slots=True)
class Moved:
    """What a push or a pull did."""

    datasets: tuple[MovedDataset, ...]
    remote: str | None
    """The address of what holds the datasets; None if there were none."""
    tracked: tuple[TrackedOut, ...]
    tracked_remote: str | None
    """The address of what holds the files that the project tracks with DVC."""
    num_tracked_moved: int
    """Objects of tracked files that were not at the other end before."""

    def to_json(self) -> dict[str, Any]:
        return {
            "datasets": [one.to_json() for one in self.datasets],
            "remote": self.remote,
            "tracked": [out.to_json() for out in self.tracked],
            "tracked_remote": self.tracked_remote,
            "num_tracked_moved": self.num_tracked_moved,
        }
