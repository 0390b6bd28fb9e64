"""The labelled samples that a model carries, with the answers that it must give."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.core.errors import ArtifactError

# Axes: N samples

SAMPLES = "samples.npz"
MAX_SAMPLES = 256


@dataclass(frozen=True, slots=True)
class Samples:
    """Real inputs, their labels when they are known, and the outputs of the eager float network for them."""

    inputs: dict[str, npt.NDArray[Any]]
    outputs: dict[str, npt.NDArray[Any]]
    target: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def save(self, path: Path) -> None:
        arrays = {f"input.{name}": array for name, array in self.inputs.items()}
        arrays |= {f"output.{name}": array for name, array in self.outputs.items()}
        if self.target is not None:
            arrays["target"] = self.target
        np.savez(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read samples.

        Raises:
            ArtifactError: The file is missing or damaged.
        """
        try:
            # Opened here, because NumPy leaves a broken file open.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"`{path}` cannot be read: {error}") from error
        return cls(_below(arrays, "input."), _below(arrays, "output."), arrays.get("target"))


def _below(arrays: dict[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
