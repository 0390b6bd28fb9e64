"""Damage as it comes in practice, done to data on purpose: to see what a model then answers, and whether it is noticed.

A corruption is a file in `corruptions/`. It works on encoded arrays, as a model takes them, in five severities.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mltool.core.errors import ConfigError
from mltool.datasets.families import corruptions
from mltool.datasets.layout import Part

# Axes: N samples

Arrays = Mapping[str, npt.NDArray[Any]]
SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(Protocol):
    """What a file in `corruptions/` defines; `ImageCorruption` and `TableCorruption` are the two kinds."""

    amounts: tuple[float, float, float, float, float]
    """How much of it there is, the mildest first."""
    says: str
    """An amount in words, such as `noise of {:g} sd`."""
    is_for_one: bool
    """Whether it befalls one column at a time."""

    def fitting(self, parts: Sequence[Part]) -> list[Part]:
        """The parts that it can befall; none if it does not fit the model."""

    def corrupted(
        self, inputs: Arrays, parts: Sequence[Part], reference: Arrays, amount: float, random: np.random.Generator
    ) -> dict[str, npt.NDArray[Any]]:
        """Arrays of the same shapes and dtypes; those that are changed are new.

        Args:
            parts: What it befalls.
            reference: Rows that tell how far values usually spread, by input name.
        """


@dataclass(frozen=True, slots=True)
class Damage:
    """A corruption of certain parts of the data.

    Attributes:
        column: The name of the only column that it befalls; empty if it befalls all that it fits.
    """

    name: str
    corruption: Corruption
    parts: tuple[Part, ...]
    column: str = ""

    @property
    def label(self) -> str:
        words = self.name.replace("_", " ")
        return f"{words}: {self.column}" if self.column else words

    def says(self, severity: int) -> str:
        return self.corruption.says.format(self.corruption.amounts[severity - 1])

    def of(self, inputs: Arrays, severity: int, reference: Arrays, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
        """The inputs as they would be; severity 0 is none. What it befalls first, it befalls in every severity.

        The same seed gives the same arrays, whatever was corrupted before.
        """
        if severity == 0:
            return {name: np.array(array) for name, array in inputs.items()}
        # One stream of chance for all severities: a row that is hit by the third is hit by the fourth as well.
        random = np.random.default_rng([seed, zlib.crc32(self.label.encode())])
        amount = self.corruption.amounts[severity - 1]
        return self.corruption.corrupted(inputs, self.parts, reference, amount, random)


def damages_for(parts: Sequence[Part], names: Sequence[str] | None, columns: Sequence[str]) -> list[Damage]:
    """All corruptions that can befall these parts.

    Args:
        names: The corruptions wanted; None for all that fit.
        columns: The names of the columns for those that befall one at a time.

    Raises:
        ConfigError: A corruption is unknown, or does not fit.
    """
    found: list[Damage] = []
    for name in names or corruptions.names():
        corruption: Corruption = corruptions.load(name)
        befallen = corruption.fitting(parts)
        if not befallen and names:
            fitting = dict.fromkeys(damage.name for damage in damages_for(parts, None, columns))
            raise ConfigError(
                f"the corruption `{name}` does not fit the inputs of the model",
                hint=f"those that fit are {', '.join(fitting)}" if fitting else "none fits inputs of this kind",
            )
        if corruption.is_for_one:
            found += [Damage(name, corruption, (part,), part.name) for part in befallen if part.name in columns]
        elif befallen:
            found.append(Damage(name, corruption, tuple(befallen)))
    return found
