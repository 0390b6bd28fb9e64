"""Data in a `.pt` file of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mltool.core.errors import DataError
from mltool.datasets.config import DataConfig, check_knobs
from mltool.datasets.readers import arrays
from mltool.datasets.source import Source
from mltool.modeling.tensor_files import as_array, load_torch_file

_HINT = "write tensors only, as `torch.save({'images': x, 'labels': y}, path)`"


def read(config: DataConfig, path: Path) -> Source:
    """A `.pt` file with named tensors, a pair of tensors, or one tensor of images beside one of labels."""
    check_knobs(config, (*arrays.KNOBS, "test"), "a `.pt` file")
    named = _named_arrays(load_torch_file(path, _HINT), path)
    if config.test is not None:
        test = _named_arrays(load_torch_file(Path(config.test), _HINT), Path(config.test))
        named = {f"train_{name}": array for name, array in named.items()}
        named |= {f"test_{name}": array for name, array in test.items()}
    return arrays.understand(named, config)


def _named_arrays(content: Any, path: Path) -> dict[str, np.ndarray]:
    if isinstance(content, Tensor):
        content = {"data": content}
    elif isinstance(content, tuple | list) and len(content) == 2 and all(isinstance(x, Tensor) for x in content):
        content = {"data": content[0], "labels": content[1]}
    if isinstance(content, Mapping):
        named = _flat(content)
        if named:
            return named
    raise DataError(
        f"`{path}` holds a `{type(content).__name__}`, but named tensors are needed",
        hint=_HINT,
    )


def _flat(content: Mapping[Any, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Every tensor by its name; those in a dictionary `train` are `train_images` and `train_labels`."""
    named: dict[str, np.ndarray] = {}
    for key, value in content.items():
        if isinstance(value, Tensor):
            named[f"{prefix}{key}"] = as_array(value)
        elif isinstance(value, Mapping):
            named |= _flat(value, f"{prefix}{key}_")
    return named
