"""Which values of a Hydra tree are which keys of mltool: said in `hydra.map`, or known by their common names."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mltool.core.config.settings import SECTIONS, Setting
from mltool.core.errors import ConfigError
from mltool.datasets.config import DataConfig
from mltool.integrations.hydra import Leaf, Tree
from mltool.modeling.config import TrainConfig

_KNOWN: Mapping[str, tuple[type[Any], tuple[str, ...]]] = {
    "train": (
        TrainConfig,
        ("epochs", "batch_size", "lr", "weight_decay", "momentum", "seed", "clip_norm", "accumulate"),
    ),
    "data": (DataConfig, ("image_size", "validation_fraction", "test_fraction")),
}
"""The keys that are found by the names that other tools give them; the names stand at the fields."""
_OPTIMIZERS = {"torch.optim.Adam": "adam", "torch.optim.AdamW": "adamw", "torch.optim.SGD": "sgd"}
_OPTIMIZER_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "adam": {"weight_decay": 0.0},
    "adamw": {"weight_decay": 0.01},
    "sgd": {"weight_decay": 0.0, "momentum": 0.0},
}
"""What torch does where the project says nothing, and mltool would do something else."""
_NETWORKS = ("model", "net", "network", "module", "architecture")
_DATA_PATHS = ("data_path", "data_dir", "data_file", "dataset_path", "dataset_dir")
_PATHS = ("path", "dir", "root", "file", "source")
_DATA_NODES = ("data", "dataset", "datamodule")
_TARGET = "_target_"
_OF_HYDRA = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")


@dataclass(slots=True)
class Mapped:
    """What was taken of a tree.

    Attributes:
        settings: In the form of every other source.
        taken: Where it comes from, by key.
        doubts: What was not guessed, by key, and what to write for it.
        left: Paths that stand for nothing here.
    """

    settings: list[Setting] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def map_tree(tree: Tree, wanted: Mapping[str, Any], folder: Path) -> Mapped:
    """Take what `wanted` says, and what is known by its name.

    Args:
        wanted: A path of the tree by key of mltool, or None for a key that is taken from nowhere.
        folder: From which paths in the tree are meant.

    Raises:
        ConfigError: A key or a path does not exist, or a value that is to be taken cannot be resolved.
    """
    return _Mapping(tree, wanted, folder).mapped()


class _Mapping:
    def __init__(self, tree: Tree, wanted: Mapping[str, Any], folder: Path) -> None:
        self.tree, self.folder, self.found = tree, folder, Mapped()
        self.wanted = dict(_entries(wanted))
        self.used: set[str] = set()

    def mapped(self) -> Mapped:
        for key, path in self.wanted.items():
            self._explicit(key, path)
        self._network()
        # What the network takes by itself, such as its own `lr`, is no key of the training.
        others = [path for path in self.tree.leaves if path not in self.used]
        for section, (config, names) in _KNOWN.items():
            known_as = {one.name: one.metadata.get("known_as", ()) for one in dataclasses.fields(config)}
            for name in names:
                called = {name, *known_as[name]}
                self._by_name(f"{section}.{name}", [path for path in others if _last(path).lower() in called])
        self._optimizer()
        self._data()
        self.found.left = [path for path in self.tree.leaves if path not in self.used]
        return self.found

    def _explicit(self, key: str, path: Any) -> None:
        section = key.partition(".")[0]
        if section not in SECTIONS or "." not in key:
            close = difflib.get_close_matches(section, SECTIONS, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"write it with its section, as `hydra.map.train.{key}`"
            raise ConfigError(f"`hydra.map.{key}` names no key of mltool", hint=hint)
        if path is None:
            return
        below = [leaf for leaf in self.tree.leaves if leaf == path or leaf.startswith(f"{path}.")]
        if not below:
            close = difflib.get_close_matches(str(path), [*self.tree.leaves, *_nodes(self.tree)], 1)
            raise ConfigError(
                f"`hydra.map.{key}={path}`: `{self.tree.file}` has no `{path}`",
                hint=f"did you mean `{close[0]}`?" if close else None,
            )
        for leaf in below:
            rest = leaf.removeprefix(str(path))
            if _last(leaf) not in _OF_HYDRA or not rest:
                self._take(f"{key}{rest}", leaf)

    def _is_decided(self, key: str) -> bool:
        return any(one == key or one.startswith(f"{key}.") for one in (*self.wanted, *self.found.taken))

    def _by_name(self, key: str, paths: list[str]) -> None:
        if self._is_decided(key):
            return
        values = {repr(self.tree.leaves[path].value) for path in paths if not self.tree.leaves[path].problem}
        if len(values) > 1:
            self._doubt(key, paths)
        elif paths:
            self._take(key, min(paths, key=lambda path: (bool(self.tree.leaves[path].problem), path.count("."))))
            self.used.update(paths)

    def _doubt(self, key: str, paths: list[str]) -> None:
        places = " and ".join(f"`{path}`" for path in paths)
        self.found.doubts[key] = f"`{key}` may be {places}: say which with `hydra.map.{key}={paths[0]}`"
        self.used.update(paths)

    def _network(self) -> None:
        if self._is_decided("model.target"):
            return
        places = [
            node
            for node in self._targets()
            if _last(node).lower() in _NETWORKS and not any(other.startswith(f"{node}.") for other in self._targets())
        ]
        if len(places) > 1:
            self._doubt("model.target", [f"{node}.{_TARGET}" for node in places])
        for node in places[:1] if len(places) == 1 else ():
            self._take("model.target", f"{node}.{_TARGET}")
            for path in self.tree.leaves:
                rest = path.removeprefix(f"{node}.")
                if rest != path and _last(path) not in _OF_HYDRA and not self._is_decided(f"model.args.{rest}"):
                    self._take(f"model.args.{rest}", path)

    def _optimizer(self) -> None:
        places = {node: self.tree.leaves[f"{node}.{_TARGET}"].value for node in self._targets()}
        known = {node: _OPTIMIZERS[target] for node, target in places.items() if target in _OPTIMIZERS}
        if len(known) != 1 or self._is_decided("train.optimizer"):
            return
        ((node, name),) = known.items()
        path = f"{node}.{_TARGET}"
        self._set("train.optimizer", name, path)
        for argument, value in _OPTIMIZER_DEFAULTS[name].items():
            if not self._is_decided(f"train.{argument}"):
                self._set(f"train.{argument}", value, path, f"{node} (what {places[node]} does)")

    def _data(self) -> None:
        if self._is_decided("data.source") or self._is_decided("data.target"):
            return
        paths = [path for path in self.tree.leaves if self._is_data(path)]
        self._by_name("data.source", paths)

    def _is_data(self, path: str) -> bool:
        above, name = path.rpartition(".")[0], _last(path).lower()
        named = name in _DATA_PATHS or (name in _PATHS and _last(above).lower() in _DATA_NODES)
        value = self.tree.leaves[path].value
        return named and isinstance(value, str) and (self.folder / value).exists()

    def _targets(self) -> list[str]:
        return [path.removesuffix(f".{_TARGET}") for path in self.tree.leaves if path.endswith(f".{_TARGET}")]

    def _take(self, key: str, path: str) -> None:
        leaf: Leaf = self.tree.leaves[path]
        if leaf.problem:
            hint = f"give it with `hydra.overrides={path}=VALUE`, or leave it with `hydra.map.{key}=null`"
            if leaf.variables:
                kept = f"${{oc.env:{leaf.variables[0]}}}"
                hint = f"leave it with `hydra.map.{key}=null`, and write `{key}: {kept}` in mltool.yaml"
            raise ConfigError(f"{self.tree.file}:{path} cannot be taken for `{key}`: {leaf.problem}", hint=hint)
        value = leaf.value if leaf.text is None else leaf.text
        if key == "model.target" and isinstance(value, str) and ":" not in value:
            value = ":".join(value.rsplit(".", 1))  # Hydra's `package.module.Class`
        self._set(key, value, path)

    def _set(self, key: str, value: Any, path: str, place: str = "") -> None:
        place = place or path
        is_reference = isinstance(value, str) and "${" in value
        origin = f"{self.tree.file}:{place}"
        self.found.settings.append(Setting(key, value, origin, typed=not is_reference, folder=self.folder))
        self.found.taken[key] = place
        self.used.add(path)


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _nodes(tree: Tree) -> set[str]:
    return {path.rpartition(".")[0] for path in tree.leaves if "." in path}


def _entries(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
