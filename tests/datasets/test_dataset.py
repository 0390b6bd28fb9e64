from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_testing import Heard, add, is_empty, write_table

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, DataError, MltoolError
from mltool.datasets.config import DataConfig
from mltool.datasets.dataset import Dataset, fingerprint_of, write_dataset
from mltool.datasets.readers import arrays, embedded, table
from mltool.datasets.schema import Schema
from mltool.datasets.source import Batch, Rows

# Axes: N rows


def test_a_table_becomes_columns_of_three_splits(tmp_path: Path, store: Store) -> None:
    dataset = add(write_table(tmp_path), store)
    splits = {name: dataset.split(name) for name in ("train", "validation", "test")}
    assert {name: len(columns) for name, columns in splits.items()} == {"train": 78, "validation": 18, "test": 24}
    assert dataset.artifact.metrics == {
        "num_rows_train": 78.0,
        "num_rows_validation": 18.0,
        "num_rows_test": 24.0,
    }
    weights = np.concatenate([columns.inputs["numbers"][:, 0] for columns in splits.values()])
    assert sorted(weights.tolist()) == [row * 0.5 for row in range(120)]
    for columns in splits.values():  # the arrays of a row stay together
        row_N = np.round(columns.inputs["numbers"][:, 0] * 2).astype(int)
        assert (columns.inputs["numbers"][:, 1] == row_N % 7).all()
        assert (columns.target == [["dog", "cat"].index(("dog", "cat")[row % 2]) ^ 1 for row in row_N]).all()
    assert dataset.artifact.ref == "pets@1"
    assert dataset.artifact.kind is ArtifactKind.dataset
    assert store.find("pets", ArtifactKind.dataset).digest == dataset.artifact.digest


def test_carved_splits_are_announced_and_remembered(tmp_path: Path, store: Store, heard: Heard) -> None:
    dataset = add(write_table(tmp_path), store)
    for note in (
        "carved out 24 rows for the test (`data.test_fraction=0.2`)",
        "carved out 18 rows for validation (`data.validation_fraction=0.15`)",
    ):
        assert note in heard.text
        assert note in dataset.notes
    assert "decode" in heard.tasks


def test_splits_that_the_source_has_are_not_announced(store: Store, heard: Heard) -> None:
    generator = np.random.default_rng(0)
    named = {
        f"{split}_{what}": generator.normal(size=(rows, 3)).astype("f4") if what == "inputs" else np.arange(rows) % 2
        for split, rows in {"train": 20, "validation": 6, "test": 9}.items()
        for what in ("inputs", "labels")
    }
    config = DataConfig(source="x.npz")
    dataset = write_dataset(arrays.understand(named, config), config, store, "x")
    assert "carved" not in heard.text
    np.testing.assert_array_equal(dataset.split("test").target, named["test_labels"])


def test_a_fraction_of_a_split_that_the_source_has_is_said_to_change_nothing(store: Store, heard: Heard) -> None:
    names = [f"{split}_{what}" for split in ("train", "test") for what in ("inputs", "labels")]
    named = {name: np.ones((20, 2), "f4") if "inputs" in name else np.arange(20) % 2 for name in names}
    config = DataConfig(source="x.npz", test_fraction=0.3, validation_fraction=0.1)
    write_dataset(arrays.understand(named, config), config, store, "x")
    assert "the source has a test split of its own, so `data.test_fraction=0.3` changes nothing" in heard.text
    assert "validation split of its own" not in heard.text


def test_an_unchanged_source_is_not_decoded_again(tmp_path: Path, store: Store, heard: Heard) -> None:
    path = write_table(tmp_path)
    first = add(path, store)
    files = sorted(path.stat().st_mtime_ns for path in first.artifact.path.rglob("*"))
    heard.tasks.clear()
    path.touch()
    again = add(path, store)
    assert heard.tasks == []
    assert (again.artifact.digest, again.artifact.ref) == (first.artifact.digest, "pets@1")
    assert sorted(path.stat().st_mtime_ns for path in again.artifact.path.rglob("*")) == files
    assert add(path, store, name="animals").artifact.ref == "animals@1"  # known, but under another name
    assert heard.tasks == []


def test_the_same_source_has_the_same_digest_in_another_store(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    here, there = (add(path, Store(tmp_path / name)) for name in ("here", "there"))
    assert here.artifact.digest == there.artifact.digest


def test_a_changed_byte_makes_a_new_dataset(tmp_path: Path, store: Store, heard: Heard) -> None:
    path = write_table(tmp_path)
    first = add(path, store)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0.5,", b"0.6,", 1))
    second = add(path, store)
    assert second.artifact.digest != first.artifact.digest
    assert (first.artifact.ref, second.artifact.ref) == ("pets@1", "pets@2")
    path.write_bytes(content)
    assert add(path, store).artifact.digest == first.artifact.digest


@pytest.mark.parametrize("knob", [{"split_seed": 1}, {"test_fraction": 0.3}, {"ignore": ("age",)}, {"label": "colour"}])
def test_another_knob_makes_a_new_dataset(tmp_path: Path, store: Store, knob: dict[str, Any]) -> None:
    path = write_table(tmp_path)
    assert add(path, store).artifact.digest != add(path, store, **knob).artifact.digest


def test_a_limit_that_was_not_reached_makes_no_new_dataset(tmp_path: Path, store: Store) -> None:
    path = write_table(tmp_path)
    assert add(path, store).artifact.digest == add(path, store, max_damaged=0.5).artifact.digest


def test_a_damaged_dataset_is_announced_and_made_again(tmp_path: Path, store: Store, heard: Heard) -> None:
    path = write_table(tmp_path)
    first = add(path, store)
    column = first.artifact.path / "train" / "numbers.npy"
    column.chmod(0o644)
    column.write_bytes(column.read_bytes()[:-1] + b"\x01")
    heard.messages.clear()
    again = add(path, store)
    warned = next(message for message in heard.messages if message.level == "warning")
    assert "numbers.npy` was changed after it was written; it is made again" in warned.text
    assert again.artifact.digest == first.artifact.digest
    assert store.find("pets", ArtifactKind.dataset).digest == first.artifact.digest


def test_damaged_rows_are_left_out_counted_and_listed(tmp_path: Path, store: Store, heard: Heard) -> None:
    dataset = add(write_table(tmp_path, spoiled=3), store, max_damaged=0.03)
    assert sum(len(dataset.split(name)) for name in ("train", "validation", "test")) == 117
    facts = dataset.artifact.manifest.facts
    assert facts["num_damaged"] == 3
    assert facts["damage"] == [[f"pets.csv:{line}", "the label `species` is missing"] for line in (2, 3, 4)]
    assert (
        "left out 3 damaged rows, such as `pets.csv:2`: the label `species` is missing; "
        "`mltool data show pets` lists them"
    ) in heard.text


def test_damage_is_said_again_and_judged_again_when_the_dataset_is_reused(
    tmp_path: Path, store: Store, heard: Heard
) -> None:
    path = write_table(tmp_path, spoiled=3)
    first = add(path, store, max_damaged=0.03)
    heard.messages.clear()
    assert add(path, store, max_damaged=0.025).artifact.digest == first.artifact.digest
    assert "left out 3 damaged rows, such as `pets.csv:2`" in heard.text
    with pytest.raises(DataError, match=r"3 of 120 rows are damaged, more than the limit of 2\.0%"):
        add(path, store, max_damaged=0.02)


def test_more_damage_than_the_limit_is_an_error_that_leaves_nothing(tmp_path: Path, store: Store) -> None:
    path = write_table(tmp_path, spoiled=4)
    with pytest.raises(DataError, match=r"4 of 120 rows are damaged, more than the limit of 3\.0%") as caught:
        add(path, store, max_damaged=0.03)
    assert "pets.csv:2" in caught.value.message
    assert "data.max_damaged" in str(caught.value.hint)
    assert is_empty(store.artifacts)
    assert is_empty(store.staging)
    assert store.refs.names(ArtifactKind.dataset) == []


@dataclass
class BreaksOff:
    """A real source whose disk goes away after the first rows."""

    source: table.TableSource

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def batches(self, rows: Rows, schema: Schema) -> Iterator[Batch]:
        yield from self.source.batches(rows[:5], schema)
        raise DataError("the disk with the data went away")


def test_an_error_while_decoding_leaves_no_half_written_artifact(tmp_path: Path, store: Store) -> None:
    config = DataConfig(source=str(write_table(tmp_path)))
    source = BreaksOff(table.read(config, Path(config.source)))
    with pytest.raises(DataError, match="went away"):
        write_dataset(source, config, store, "pets")
    assert is_empty(store.artifacts)
    assert is_empty(store.staging)


def test_a_decode_that_does_not_fit_on_the_disk_is_refused_before_it_begins(
    tmp_path: Path, store: Store, heard: Heard
) -> None:
    @dataclass
    class Huge(BreaksOff):
        def estimated_bytes(self) -> int:
            return shutil.disk_usage(tmp_path).total * 2

    config = DataConfig(source=str(write_table(tmp_path)))
    with pytest.raises(MltoolError, match=r"decoding needs [\d.]+ GiB, but only [\d.]+ [GM]iB are free") as caught:
        write_dataset(Huge(table.read(config, Path(config.source))), config, store, "pets")
    assert "MLTOOL_HOME" in str(caught.value.hint)
    assert "of disk;" in heard.text
    assert "decode" not in heard.tasks
    assert is_empty(store.artifacts)


def test_a_tensor_target_keeps_its_type_and_shape_in_every_split(store: Store) -> None:
    generator = np.random.default_rng(0)
    named = {"inputs": generator.normal(size=(40, 4)).astype("f4"), "labels": generator.normal(size=(40, 2, 3))}
    config = DataConfig(source="x.npz", test_fraction=0.0)
    dataset = write_dataset(arrays.understand(named, config), config, store, "x")
    assert dataset.schema.target.kind == "tensor"
    for name, rows in {"train": 34, "validation": 6, "test": 0}.items():
        target = dataset.split(name).target
        assert (target.dtype, target.shape) == (np.dtype(np.float32), (rows, 2, 3))


def test_the_origin_is_kept_with_the_dataset(tmp_path: Path, store: Store) -> None:
    config = DataConfig(source=str(write_table(tmp_path)))
    origin = {"source": "pets.csv", "git_commit": "0" * 40, "dvc_md5": "1" * 32}
    first = write_dataset(table.read(config, Path(config.source)), config, store, "pets", origin)
    assert {key: first.artifact.manifest.facts[key] for key in origin} == origin
    # Where the bytes came from is no part of what they are.
    other = write_dataset(table.read(config, Path(config.source)), config, Store(tmp_path / "other"), "pets")
    assert other.artifact.digest == first.artifact.digest


def test_two_processes_that_decode_the_same_source_get_the_same_dataset(tmp_path: Path, store: Store) -> None:
    """What a race comes to: both decode, the second finds the place taken."""
    config = DataConfig(source=str(write_table(tmp_path)))

    @dataclass
    class Late(BreaksOff):
        done: list[Dataset] = field(default_factory=list)

        def batches(self, rows: Rows, schema: Schema) -> Iterator[Batch]:
            if not self.done:
                self.done.append(write_dataset(self.source, config, store, "pets"))
            yield from self.source.batches(rows, schema)

    late = Late(table.read(config, Path(config.source)))
    dataset = write_dataset(late, config, store, "pets")
    assert dataset.artifact.digest == late.done[0].artifact.digest
    assert len(store.manifests(ArtifactKind.dataset)) == 1
    assert is_empty(store.staging)


def test_a_column_that_is_lost_later_is_refused(tmp_path: Path, store: Store) -> None:
    dataset = add(write_table(tmp_path), store)
    (dataset.artifact.path / "train" / "numbers.npy").unlink()
    with pytest.raises(ArtifactError, match=r"numbers\.npy"):
        dataset.split("train")
    with pytest.raises(ArtifactError):
        store.find("pets", ArtifactKind.dataset)


def test_the_same_bytes_with_another_label_are_another_dataset(store: Store, tmp_path: Path) -> None:
    config = DataConfig(source="penguins")
    source = embedded.read(config, "penguins")
    mine = tmp_path / "mine.csv"
    shutil.copy(Path(embedded.__file__).parents[1] / "embedded" / "penguins.csv", mine)
    assert write_dataset(source, config, store, "penguins").schema.target.name == "species"
    assert add(mine, store, "mine").schema.target.name == table.read(DataConfig(), mine).target.name != "species"


@pytest.mark.parametrize(
    "knobs",
    [
        {"label": "age"},
        {"label_kind": "class"},
        {"classes": ("no", "yes")},
        {"ignore": ("age",)},
        {"categories": ("age",)},
        {"fields": {"labels": "y"}},
        {"image_size": 8},
        {"channels": 1},
        {"validation_fraction": 0.3},
        {"test_fraction": 0.3},
        {"split_seed": 1},
    ],
    ids=lambda knobs: next(iter(knobs)),
)
def test_every_knob_that_shapes_a_dataset_is_in_its_identity(tmp_path: Path, knobs: dict[str, Any]) -> None:
    source = table.read(DataConfig(), write_table(tmp_path))
    assert fingerprint_of(source, DataConfig(**knobs)) != fingerprint_of(source, DataConfig())


def test_only_what_the_bytes_tell_is_left_out_of_the_identity(tmp_path: Path) -> None:
    identity = fingerprint_of(table.read(DataConfig(), write_table(tmp_path)), DataConfig())
    left_out = {knob.name for knob in fields(DataConfig)} - identity.keys()
    assert left_out == {"source", "target", "args", "test", "max_damaged", "remote"}
