"""What every scheme is: a way to convert a float graph, and how far its answers may then differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from mltool.runtimes.verify import Limits

Convert = Callable[[Path, Mapping[str, npt.NDArray[Any]], Path], None]
"""Takes the float graph, samples by input name (axis 0 is the sample), and where to write the converted graph."""


@dataclass(frozen=True, slots=True)
class Scheme:
    convert: Convert
    limits: Limits
