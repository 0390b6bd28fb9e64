"""What every scheme is: a way to convert a float graph, and how far its answers may then differ.

A graph that is left as it is differs by the precision that it is run in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from mltool.runtimes.candidate import FLOAT, Candidate
from mltool.runtimes.config import schemes
from mltool.runtimes.verify import Limits

PRECISIONS = {FLOAT: Limits(), "bf16": Limits(relative_error=2e-2)}
"""What the precision of a runtime may do to the answers of a float graph."""
Convert = Callable[[Path, Mapping[str, npt.NDArray[Any]], Path], None]
"""Takes the float graph, samples by input name (axis 0 is the sample), and where to write the converted graph."""


@dataclass(frozen=True, slots=True)
class Scheme:
    convert: Convert
    limits: Limits


def limits_of(candidate: Candidate) -> Limits:
    """How far the answers of a candidate may differ from those of the eager float network."""
    if candidate.scheme == FLOAT:
        return PRECISIONS.get(candidate.precision, Limits())
    scheme: Scheme = schemes.load(candidate.scheme)
    return scheme.limits
