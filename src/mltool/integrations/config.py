"""The knobs of the `hydra` section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mltool.core.config.fields import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class HydraConfig:
    config: str | None = setting(None, is_path=True, shapes=False, known_as=("config_name", "config_path"))
    """The main file of a Hydra project, such as `conf/config.yaml`. What it is composed to has the lowest priority: all
    that is written for mltool goes over it."""

    overrides: tuple[str, ...] = setting((), shapes=False)
    """In Hydra's own words, such as `[model=cnn, optimizer.lr=0.1]`."""

    map: dict[str, Any] = setting(default_factory=dict, shapes=False)
    """Where a key comes from, as `hydra.map.train.lr=optimizer.lr`; `null` takes it from nowhere. Common names need no
    line here: what was taken is said."""
