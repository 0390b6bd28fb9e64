"""How a model is run, wherever one is."""

from __future__ import annotations

from typing import Any

from mltool.core.registry import Family

GRAPH = "graph.onnx"
"""The file that every runtime but torch reads; a network without it is one whose export failed."""

backends: Family[Any] = Family("backend", "mltool.runtimes.backends", "load")
schemes: Family[Any] = Family("quantization scheme", "mltool.runtimes.schemes", "scheme")
compilers: Family[Any] = Family("backend", "mltool.runtimes.backends", "candidates")
"""The runtimes that a model can be compiled for: each module says what may be tried on this host."""
