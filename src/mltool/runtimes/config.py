"""How a model is run, wherever one is."""

from __future__ import annotations

from typing import Any

from mltool.core.registry import Family

backends: Family[Any] = Family("backend", "mltool.runtimes.backends", "load")
