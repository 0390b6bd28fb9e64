from __future__ import annotations

from dataclasses import dataclass, field

from mltool.core.config.fields import setting
from mltool.runtimes.config import schemes


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeConfig:
    scheme: str = setting("int8_static", choices=schemes.names)
    """How weights and activations are stored."""

    max_metric_drop: float = setting(0.01, minimum=0.0, maximum=1.0)
    """Largest accepted loss of accuracy (or R²), as a fraction of 1; above it the command fails."""

    batch_size: int = setting(1, minimum=1)
    """Samples a call while the variant is timed against its parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeJob:
    """All that `mltool quantize REF` reads."""

    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
