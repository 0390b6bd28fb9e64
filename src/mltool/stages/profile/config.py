from __future__ import annotations

from dataclasses import dataclass

from mltool.core.config.fields import setting
from mltool.runtimes.config import backends


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileJob:
    """All that `mltool profile REF...` reads."""

    batch_sizes: tuple[int, ...] = setting((1, 8, 32, 128), minimum=1)
    """Samples a call; a model that carries fewer runs some of them again."""

    backend: str = setting("auto", choices=lambda: ("auto", *backends.names()))
    """`auto` is the runtime that each model was compiled for, else ONNX Runtime."""

    threads: int | None = setting(None, minimum=1, maximum=1024)
    """CPU threads; by default those that each model was compiled for, else all cores."""

    duration_s: float = setting(1.0, above=0.0, maximum=60.0)
    """Seconds for which each model runs each batch size; one call a turn takes as long as it takes."""
