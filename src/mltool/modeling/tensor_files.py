"""Files of tensors written by torch; nothing in them is ever executed."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mltool.core.errors import DataError

_GLOBAL = re.compile(r"GLOBAL (\S+)")
"""How torch names what a pickle wants to call."""
_REFUSAL = re.compile(r"WeightsUnpickler error: (.*)")
"""What torch says between its advice to load the file all the same."""


def load_torch_file(
    path: Path, hint: str = "write tensors only, such as `torch.save(model.state_dict(), path)`"
) -> Any:
    """Load a `.pt` file with `weights_only=True`.

    Args:
        hint: How to write such a file.

    Raises:
        DataError: The file is missing, damaged, or needs code to be executed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of archives that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage shows as errors of every kind: AssertionError, struct.error, IndexError
        needed = _GLOBAL.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if needed:
            raise DataError(
                f"`{path}` needs code to be executed while it is read (`{needed[1]}`), so it is refused",
                hint=hint,
            ) from error
        if "TorchScript" in str(error):
            raise DataError(f"`{path}` is a TorchScript archive, which holds code", hint=hint) from error
        refusal = _REFUSAL.search(str(error))
        why = refusal[1].strip() if refusal else f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise DataError(f"`{path}` is not a file that torch can read: {why}") from error


def as_array(tensor: Tensor) -> np.ndarray:
    """A tensor as a numpy array; bfloat16, which numpy lacks, becomes float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors; tied weights are written twice, because safetensors refuses what shares its memory.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(copies, path, dict(metadata) if metadata else None)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), str(error), str(path)) from error
