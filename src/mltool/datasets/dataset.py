"""The dataset artifact: a source decoded once into memory-mapped columns."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.draft import Draft
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_json
from mltool.core import events, units
from mltool.core.errors import ArtifactError, DataError, MltoolError
from mltool.datasets.classes import absent_from, with_names
from mltool.datasets.columns import TARGET, Columns, column_writers, open_columns
from mltool.datasets.config import DataConfig
from mltool.datasets.schema import SCHEMA, Schema, schema_of
from mltool.datasets.source import SPLITS, Rows, Source
from mltool.datasets.splits import complete

LARGE_BYTES = 1 << 30
"""Above this, the disk space of a decode is announced before it begins."""


@dataclass(frozen=True)
class Dataset:
    """An opened dataset artifact."""

    artifact: Artifact

    @cached_property
    def schema(self) -> Schema:
        return schema_of(self.artifact)

    def split(self, name: str) -> Columns:
        """The rows of `train`, `validation` or `test`; no rows if the dataset has no such split."""
        return open_columns(self.artifact.path / name, [spec.name for spec in self.schema.inputs])

    @property
    def notes(self) -> list[str]:
        return list(self.artifact.manifest.facts.get("notes", []))


def fingerprint_of(source: Source, config: DataConfig) -> dict[str, Any]:
    """What decides the content of a dataset: the bytes of the source and how they are understood.

    Raises:
        DataError: The source cannot be used.
    """
    knobs = ("label", "label_kind", "classes", "ignore", "categories", "fields", "image_size", "channels")
    splits = ("validation_fraction", "test_fraction", "split_seed")
    kept = {name: getattr(config, name) for name in (*knobs, *splits)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}
    # The schema of all rows tells what no knob does: an embedded set brings its own label.
    schema = json.dumps(source.schema(np.arange(source.num_rows)).to_json(), sort_keys=True)
    return {"fingerprint": source.fingerprint, "schema": hashlib.sha256(schema.encode()).hexdigest(), **plain}


def splits_of(source: Source, config: DataConfig) -> tuple[dict[str, Rows], list[str]]:
    """The rows of all three splits, and in words what was carved out."""
    return complete(
        source.num_rows,
        source.splits,
        source.stratify_N,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.split_seed,
    )


def find_decoded(store: Store, identity: Mapping[str, Any]) -> Artifact | None:
    """A whole dataset that was made from the same source with the same knobs, if the store has one."""
    for path, manifest in reversed(store.manifests(ArtifactKind.dataset)):
        if dict(manifest.config) == dict(identity):
            try:
                artifact = Artifact.open(path)
            except ArtifactError as error:
                events.warning(f"{error.message}; it is made again")
                return None
            return Artifact(path, manifest, store.name_of(artifact))
    return None


def write_dataset(
    source: Source, config: DataConfig, store: Store, name: str, facts: Mapping[str, Any] | None = None
) -> Dataset:
    """Decode a source into a dataset artifact, or find the one that was made of the same source.

    Args:
        name: The name it gets, unless it has that name already.

    Raises:
        DataError: The source cannot be used, or too much of it is damaged.
        MltoolError: The disk is too small.
    """
    identity = fingerprint_of(source, config)
    known = find_decoded(store, identity)
    # One with too much damage for the limit of today is decoded again, which says so.
    if known is not None and _damaged_share(known) <= config.max_damaged:
        origin = known.manifest.facts
        _warn_of_damage(origin.get("num_damaged", 0), origin.get("damage", ()), known.name or name)
        return Dataset(known if known.name == name else _named(known, store, name))
    splits, carved = splits_of(source, config)
    schema = source.schema(splits["train"])
    named_schema = with_names(schema, config.classes)
    for note in _fractions_without_effect(source, config):
        events.warning(note)
    absent = absent_from(source, named_schema, splits["train"])
    for note in (*source.notes, *carved):
        events.info(note)
    for note in absent:
        events.warning(note)
    with store.draft(ArtifactKind.dataset) as draft:
        _check_space(source, store)
        counts = _decode(source, schema, splits, draft)
        source.damage.num_seen = max(source.damage.num_seen, source.num_rows)
        source.damage.enforce(config.max_damaged)
        _warn_of_damage(len(source.damage.found), source.damage.found, name)
        if not counts["train"]:
            raise DataError(
                "no row of the training split could be used", hint="see which rows were left out above, and mend them"
            )
        write_json(draft.path(SCHEMA), named_schema.to_json())
        artifact = draft.commit(
            name,
            config=identity,
            metrics={f"num_rows_{split}": float(count) for split, count in counts.items()},
            facts={
                "notes": [*source.notes, *carved, *absent],
                "damage": [list(entry) for entry in source.damage.found[:1000]],
                "num_damaged": len(source.damage.found),
                **(facts or {}),
            },
        )
    return Dataset(artifact)


def _fractions_without_effect(source: Source, config: DataConfig) -> list[str]:
    """What the user asked to be carved out of a source that has that split already."""
    asked = {"validation": config.validation_fraction, "test": config.test_fraction}
    usual = DataConfig()
    unasked = {"validation": usual.validation_fraction, "test": usual.test_fraction}
    return [
        f"the source has a {split} split of its own, so `data.{split}_fraction={fraction:g}` changes nothing"
        for split, fraction in asked.items()
        if split in source.splits and fraction != unasked[split]
    ]


def _damaged_share(artifact: Artifact) -> float:
    num_damaged = artifact.manifest.facts.get("num_damaged", 0)
    return float(num_damaged / max(1.0, num_damaged + sum(artifact.metrics.values())))


def _warn_of_damage(num_damaged: int, found: Sequence[Sequence[str]], name: str) -> None:
    if num_damaged:
        (where, why), rows = found[0], "row" if num_damaged == 1 else "rows"
        events.warning(
            f"left out {num_damaged} damaged {rows}, such as `{where}`: {why}; `mltool data show {name}` lists them"
        )


def _named(artifact: Artifact, store: Store, name: str) -> Artifact:
    ref = store.refs.add(ArtifactKind.dataset, name, artifact.digest, artifact.manifest.created_utc)
    return Artifact(artifact.path, artifact.manifest, ref)


def _check_space(source: Source, store: Store) -> None:
    needed, free = source.estimated_bytes(), shutil.disk_usage(store.root).free
    if needed > LARGE_BYTES:
        events.info(f"decoding takes {units.size(needed)} of disk; {units.size(free)} are free")
    if needed > free:
        raise MltoolError(
            f"decoding needs {units.size(needed)}, but only {units.size(free)} are free in `{store.root}`",
            hint="set MLTOOL_HOME to a folder on a larger disk, or lower `data.image_size`",
        )


def _decode(source: Source, schema: Schema, splits: Mapping[str, Rows], draft: Draft) -> dict[str, int]:
    """Write the columns of every split, and return how many rows each has."""
    counts = {}
    with events.track("decode", sum(len(rows) for rows in splits.values()), "rows") as bar:
        for split in SPLITS:
            target_dtype, target_shape = _target_form(source, schema, splits)
            specs = {spec.name: (np.dtype(spec.dtype), spec.shape) for spec in schema.inputs}
            with column_writers(draft.path(split), {**specs, TARGET: (target_dtype, target_shape)}) as writers:
                for inputs, target_N in source.batches(splits[split], schema):
                    for name, rows in inputs.items():
                        writers[name].append(rows)
                    writers[TARGET].append(target_N)
                    bar.advance(len(target_N))
                counts[split] = writers[TARGET].num_rows
    return counts


def _target_form(source: Source, schema: Schema, splits: Mapping[str, Rows]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if schema.target.kind == "class":
        return np.dtype(np.int64), ()
    if schema.target.kind == "number":
        return np.dtype(np.float32), ()
    _, target_N = next(iter(source.batches(splits["train"][:1], schema)))
    return target_N.dtype, target_N.shape[1:]
