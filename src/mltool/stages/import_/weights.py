"""Trained weights from elsewhere, read without executing anything in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mltool.core import events
from mltool.core.errors import ConfigError, DataError
from mltool.datasets.cells import did_you_mean
from mltool.modeling.tensor_files import load_torch_file

_SHOWN = 4
_WITHIN = "/"
"""Between a dictionary and what it holds; the parts of a parameter's name are joined by dots."""


def read_weights(path: Path, part: str | None = None) -> dict[str, Tensor]:
    """The tensors of a state dict (`.pt`, `.pth`, `.bin`), a Lightning checkpoint (`.ckpt`) or a `.safetensors` file.

    Tensors in dictionaries within the file are named like files in folders: `state_dict/model.0.weight`.

    Args:
        part: The part of the file to take, such as `ema`; None takes all.

    Raises:
        ConfigError: There is no such part.
        DataError: The file is missing, damaged, needs code to be executed, or holds no weights.
    """
    if not path.is_file():
        raise DataError(f"`{path}` does not exist", hint="give the file that holds the trained weights")
    content: object
    if path.suffix == ".safetensors":
        try:
            content = load_file(path)
        except (SafetensorError, OSError) as error:
            raise DataError(f"`{path}` is not a safetensors file: {error}") from error
    else:
        content = load_torch_file(path)
    if not isinstance(content, Mapping):
        raise DataError(
            f"`{path}` holds a `{type(content).__name__}`, but a state dict is needed", hint="save `model.state_dict()`"
        )
    weights = _flat(content)
    if not weights:
        found = ", ".join(f"`{key}`" for key in list(content)[:6])
        raise DataError(f"`{path}` holds no weights, only {found or 'nothing'}", hint="save `model.state_dict()`")
    return weights if part is None else _part(weights, part, path)


def _flat(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for key, value in content.items():
        if isinstance(value, Tensor):
            tensors[f"{prefix}{key}"] = value
        elif isinstance(value, Mapping):
            tensors |= _flat(value, f"{prefix}{key}{_WITHIN}")
    return tensors


def _part(weights: Mapping[str, Tensor], part: str, path: Path) -> dict[str, Tensor]:
    prefixes = tuple(f"{part.rstrip('./')}{joint}" for joint in (_WITHIN, "."))
    found = {key[len(prefixes[0]) :]: value for key, value in weights.items() if key.startswith(prefixes)}
    if not found:
        parts = list(dict.fromkeys(re.split("[./]", key)[0] for key in weights))
        raise ConfigError(f"`part={part}` is no part of `{path}`", hint=did_you_mean(part, parts, "parts of the file"))
    return found


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a network; a prefix that all of them share, such as `model.` or `module.`, is taken off.

    Raises:
        ConfigError: Keys or shapes differ; names which, and the nearest. Or several prefixes fit, with other values.
    """
    wanted = network.state_dict()
    fitted = _without_prefix(weights, wanted, path)
    missing = [key for key in wanted if key not in fitted]
    surplus = [key for key in fitted if key not in wanted]
    if missing or surplus:
        raise ConfigError(
            f"the weights in `{path}` do not fit the network: {_difference(missing, surplus)}",
            hint="give the class and the arguments that it was trained with: `model.target=` and `model.args.NAME=`",
        )
    for key, value in wanted.items():
        if value.shape != fitted[key].shape:
            raise ConfigError(
                f"the weights in `{path}` do not fit the network: `{key}` is {list(fitted[key].shape)}, "
                f"but the network has {list(value.shape)}",
                hint="give the arguments that it was trained with as `model.args.NAME=VALUE`",
            )
    network.load_state_dict(fitted)


def _without_prefix(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    if weights.keys() == wanted.keys():
        return dict(weights)
    ends = tuple(f"{joint}{name}" for name in wanted for joint in (_WITHIN, "."))
    prefixes = sorted({key[: 1 - len(end)] for key in weights for end in ends if key.endswith(end)})
    inner = {prefix: _below(weights, prefix) for prefix in ("", *prefixes)}
    whole = [prefix for prefix in inner if _fits(inner[prefix], wanted)]
    for other in whole[1:]:
        if not _same_values(inner[whole[0]], inner[other], wanted):
            raise ConfigError(
                f"`{path}` holds two sets of weights that fit the network: "
                f"{f'`{whole[0]}`' if whole[0] else 'one without a prefix'} and `{other}`",
                hint=f"say which, such as `part={other.rstrip('./')}`",
            )
    # Of equals, the first.
    taken_off = max(whole[:1] or inner, key=lambda prefix: len(wanted.keys() & inner[prefix].keys()))
    own = sorted(key for key in weights if key.startswith(("preprocess.", "head.")))
    if taken_off == "network." and own:
        raise ConfigError(
            f"`{path}` holds the weights of an mltool model, whose preprocessing (`{own[0]}`) would be lost",
            hint="use that model itself: `mltool models list`",
        )
    if taken_off:
        left_out = len(weights) - len(inner[taken_off])
        rest = f", and left out {left_out} others (such as a loss or an optimizer's state)" if left_out else ""
        events.info(f"took the prefix `{taken_off}` off the weights' names{rest}")
    return inner[taken_off]


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What stands under a prefix, but in no dictionary further in."""
    names = ((key, key.removeprefix(prefix)) for key in weights if key.startswith(prefix))
    return {name: weights[key] for key, name in names if _WITHIN not in name}


def _fits(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    return all(name in weights and weights[name].shape == value.shape for name, value in wanted.items())


def _same_values(one: Mapping[str, Tensor], other: Mapping[str, Tensor], names: Iterable[str]) -> bool:
    return all(one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in names)


def _difference(missing: list[str], surplus: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"{len(missing)} are missing ({_with_nearest(missing, surplus)})")
    if surplus:
        parts.append(f"{len(surplus)} have no place ({_with_nearest(surplus, ())})")
    return " and ".join(parts)


def _with_nearest(keys: list[str], others: Iterable[str]) -> str:
    shown = []
    for key in keys[:_SHOWN]:
        close = difflib.get_close_matches(key, list(others), 1, 0.7)
        shown.append(f"`{key}`, nearest `{close[0]}`" if close else f"`{key}`")
    return "; ".join(shown) + (" …" if len(keys) > _SHOWN else "")
