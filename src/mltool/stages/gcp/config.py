from __future__ import annotations

from dataclasses import dataclass, field

from mltool.core.config.fields import setting
from mltool.integrations.engines import ENGINES

PROCESS = "process"
"""Runs the build context of an image as it is, without a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulateConfig:
    port: int = setting(0, minimum=0, maximum=65535)
    """Port on this machine for Cloud Run, Cloud Build and Artifact Registry (gRPC); 0 takes a free one."""

    storage_port: int = setting(0, minimum=0, maximum=65535)
    """Port on this machine for Cloud Storage (HTTP); 0 takes a free one."""

    engine: str = setting("auto", choices=("auto", PROCESS, *ENGINES))
    """Builds and runs images: a container engine, or `process`, this Python; `auto` takes an engine if one works."""

    project: str | None = None
    """The only project that exists; by default, every one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulateJob:
    """All that `mltool gcp emulate` reads."""

    emulate: EmulateConfig = field(default_factory=EmulateConfig)
