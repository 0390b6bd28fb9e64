from __future__ import annotations

from dataclasses import dataclass, field

from mltool.core.config.fields import setting
from mltool.runtimes.config import compilers


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileConfig:
    backend: str = setting("auto", choices=lambda: ("auto", *compilers.built_in()))
    """Runtime to compile for; `auto` tries each that is installed and takes the fastest that passes."""

    precisions: tuple[str, ...] = setting(("fp32", "bf16", "int8_static"), choices=("fp32", "bf16", "int8_static"))
    """Precisions that may be tried, where the runtime and the processor have them."""

    batch_size: int = setting(1, minimum=1)
    """Samples a call that the choice is made for."""

    min_speedup: float = setting(1.1, minimum=1.0, maximum=100.0)
    """How many times as fast as today a candidate must be, and as a simpler precision."""

    max_metric_drop: float = setting(0.01, minimum=0.0, maximum=1.0)
    """Largest accepted loss of accuracy (or R²), as a fraction of 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileJob:
    """All that `mltool compile REF` reads."""

    compile: CompileConfig = field(default_factory=CompileConfig)
