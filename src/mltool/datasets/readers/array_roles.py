"""Which array of a file is what: by the user's word, by its name, by its shape."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count

import numpy as np
import numpy.typing as npt

from mltool.core.errors import ConfigError, DataError
from mltool.datasets.columns import TARGET
from mltool.datasets.source import SPLIT_WORDS

Array = npt.NDArray[np.generic]

_PICTURE_WORDS = frozenset(("image", "images", "img", "imgs", "pixels", "image_data"))
_INPUT_WORDS = frozenset(("x", "x_data", "data", "input", "inputs", "feature", "features", "sample", "samples"))
_SERIES_WORDS = frozenset(("signals", "sequences", "tokens", "input_ids", "numbers"))
INPUT_WORDS = _PICTURE_WORDS | _INPUT_WORDS | _SERIES_WORDS
_ANSWER_WORDS = frozenset(("y", "y_data", "y_true", "target", "targets", "answer", "answers", "output", "outputs"))
LABEL_WORDS = _ANSWER_WORDS | frozenset(("label", "labels", "class", "classes"))
ROLES = tuple(f"{prefix}{role}" for prefix in ("", "train_", "validation_", "test_") for role in ("inputs", "labels"))


@dataclass(slots=True)
class Part:
    """The arrays of one split, by name; `split` is empty where a file has no splits."""

    split: str
    inputs: tuple[str, ...] = ()
    labels: str = ""
    rest: list[str] = field(default_factory=list)
    """Arrays of this split whose names say nothing more."""

    named: bool = False
    """Whether the user named one of its arrays."""


def show(arrays: Mapping[str, Array], names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}` {arrays[name].dtype} {list(arrays[name].shape)}" for name in names)


def parse(name: str) -> tuple[str, str, str]:
    """Take a name apart into split, role (`inputs`, `labels` or empty) and the rest.

    `X_train` is (`train`, `inputs`, `x`), `ids` is (``, ``, `ids`).
    """
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    stem = "_".join(word for word in words if word and word not in SPLIT_WORDS)
    if not splits:
        for word, split in SPLIT_WORDS.items():
            for cut in (stem.removeprefix(word), stem.removesuffix(word)):
                if cut != stem and cut in INPUT_WORDS | LABEL_WORDS:
                    splits, stem = {split}, cut
    if len(splits) > 1:
        return "", "", stem
    role = "inputs" if stem in INPUT_WORDS else "labels" if stem in LABEL_WORDS else ""
    return (splits.pop() if splits else ""), role, stem or name


def input_names(arrays: Sequence[str]) -> list[str]:
    """Names for inputs that can be file names: different ones of letters, digits and `_`, none of them `target`."""
    stems = [parse(name)[2] for name in arrays]
    if len(set(stems)) < len(stems):
        stems = list(arrays)
    names: list[str] = []
    for stem in stems:
        taken = ("", TARGET, *map(str.lower, names))  # some disks take `X` and `x` for one file
        wanted = re.sub(r"[^A-Za-z0-9_]+", "_", stem).strip("_")
        candidates = chain([wanted], (f"input_{number}" for number in count(len(names) + 1)))
        names.append(next(name for name in candidates if name.lower() not in taken))
    return names


def find_parts(arrays: Mapping[str, Array], fields: Mapping[str, str], source: str) -> list[Part]:
    """The splits of a file, each with its inputs and labels.

    Args:
        arrays: All arrays of the file.
        fields: What the user says of them: one of `ROLES` to a name, or to several with commas.
        source: What the user calls the file, for messages.

    Raises:
        ConfigError: `fields` has an unknown role or names an array that is not there.
        DataError: No pair of inputs and labels was found, or more than one.
    """
    parts = {split: Part(split) for split in ("", "train", "validation", "test")}
    taken = _apply_fields(parts, arrays, fields, source)
    candidates: dict[tuple[str, str], list[str]] = {}
    for name, array in arrays.items():
        if name in taken or not array.ndim:
            continue
        split, role, _ = parse(name)
        if role:
            candidates.setdefault((split, role), []).append(name)
        else:
            parts[split].rest.append(name)
    for part in parts.values():
        for role in ("inputs", "labels"):
            names = candidates.get((part.split, role), [])
            if getattr(part, role) or not names:
                continue
            if role == "labels" and part.inputs:
                # A list of the names of the classes is shorter than the inputs.
                names = [name for name in names if len(arrays[name]) == len(arrays[part.inputs[0]])] or names
            if len(names) > 1:
                raise _unclear(f"`{names[0]}` and `{names[1]}` may both be {role}", arrays, source)
            part.inputs, part.labels = (tuple(names), part.labels) if role == "inputs" else (part.inputs, names[0])
        _complete_by_shape(part, arrays)
    return _choose(parts, arrays, source)


def _apply_fields(
    parts: Mapping[str, Part], arrays: Mapping[str, Array], fields: Mapping[str, str], source: str
) -> set[str]:
    taken: set[str] = set()
    for key, text in fields.items():
        if key not in ROLES:
            near = difflib.get_close_matches(key, ROLES, 1)
            raise ConfigError(
                f"unknown role `data.fields.{key}`",
                hint=f"did you mean `{near[0]}`?" if near else f"roles are {', '.join(ROLES)}",
            )
        names = tuple(name.strip() for name in text.split(","))
        for name in names:
            if name not in arrays:
                raise ConfigError(
                    f"`data.fields.{key}` names `{name}`, which is not in `{source}`",
                    hint=f"it holds {show(arrays, list(arrays))}",
                )
            if not arrays[name].ndim:
                raise ConfigError(f"`data.fields.{key}` names `{name}`, which is a single value, not one a row")
        prefix, _, role = key.rpartition("_")
        part = parts[prefix]
        part.named = True
        if role == "inputs":
            part.inputs = names
        elif len(names) == 1:
            part.labels = names[0]
        else:
            raise ConfigError(f"`data.fields.{key}={text}` names several arrays", hint="name one array of labels")
        taken.update(names)
    return taken


def _looks_like_labels(array: Array) -> bool:
    return array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)


def _complete_by_shape(part: Part, arrays: Mapping[str, Array]) -> None:
    """Fill the missing side of a pair with the only array that fits it."""
    if part.inputs and part.labels:
        return
    known = part.inputs[0] if part.inputs else part.labels
    rest = [name for name in part.rest if not known or len(arrays[name]) == len(arrays[known])]
    flat = [name for name in rest if _looks_like_labels(arrays[name])]
    if not part.labels and len(flat) == 1:
        part.labels = flat[0]
    deep = [name for name in rest if name not in flat]
    if part.labels:
        deep = [name for name in deep if len(arrays[name]) == len(arrays[part.labels])]
    if not part.inputs and len(deep) == 1:
        part.inputs = (deep[0],)


def _choose(parts: dict[str, Part], arrays: Mapping[str, Array], source: str) -> list[Part]:
    whole, train = parts[""], parts["train"]
    for part in parts.values():
        if part.named and not (part.inputs and part.labels):
            missing = "labels" if part.inputs else "inputs"
            raise _unclear(f"the {missing} that go with {_names(part)} were not found", arrays, source)
    if whole.inputs and whole.labels and train.inputs and train.labels and whole.named == train.named:
        raise _unclear(f"{_names(whole)} or {_names(train)} may be what to train on", arrays, source)
    if whole.named or not (train.inputs and train.labels):
        del parts["train"]
    else:
        del parts[""]
    found = [part for part in parts.values() if part.inputs and part.labels]
    if not found:
        raise _unclear("no inputs with labels were found", arrays, source)
    if len(found) > 1 and not found[0].split:
        found[0].split = "train"
    return found


def _names(part: Part) -> str:
    return " and ".join(f"`{name}`" for name in (*part.inputs, part.labels) if name)


def _unclear(problem: str, arrays: Mapping[str, Array], source: str) -> DataError:
    holds = show(arrays, list(arrays)) or "no arrays"
    return DataError(
        f"cannot tell what the arrays of `{source}` are: {problem}; it holds {holds}",
        hint="name them, as `data.fields.inputs=NAME data.fields.labels=NAME`; roles may begin with `train_`, "
        "`validation_` or `test_`",
    )
