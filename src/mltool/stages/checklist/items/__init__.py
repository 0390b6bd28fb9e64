"""One function for each item of the checklist, by area."""

from __future__ import annotations

from mltool.stages.checklist.items import (
    cloud,
    containers,
    continuous,
    documents,
    environment,
    experiments,
    quality,
    repository,
    scale,
    service,
    sources,
    testing,
    tracking,
    watch,
)
from mltool.stages.checklist.registry import JUDGES

__all__ = [
    "JUDGES",
    "cloud",
    "containers",
    "continuous",
    "documents",
    "environment",
    "experiments",
    "quality",
    "repository",
    "scale",
    "service",
    "sources",
    "testing",
    "tracking",
    "watch",
]
