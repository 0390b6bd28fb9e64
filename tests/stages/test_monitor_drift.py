"""Windows of files, folders and datasets, held against the reference of real models."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from monitor_testing import table_rows, write_csv
from PIL import Image

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, ConfigError, DataError, InputError
from mltool.datasets.schema import schema_of
from mltool.runtimes.gate import admit
from mltool.runtimes.runner import load
from mltool.stages.monitor.drift import CLAIM, DriftFound
from mltool.stages.monitor.watched import REFERENCE, watched
from mltool.stages.monitor.window import of_current
from mltool.statistics.reference import Reference
from small_models import linear_model, picture_model, table_model
from user_project import said

__all__ = ["said"]


@pytest.fixture
def table(store: Store) -> Artifact:
    return table_model(store)


def drifted(found: DriftFound) -> set[str]:
    return {column.name for column in found.drift.columns if column.is_drifted}


def test_a_window_like_the_reference_is_quiet(table: Artifact) -> None:
    write_csv(Path("today.csv"), table_rows(200))
    found = mltool.monitor.drift(current="today.csv")
    assert not found.alarm
    assert (found.model.label, found.source, found.row_split) == ("table@1", "`today.csv`", "validation")
    assert (found.drift.num_rows, found.drift.num_reference_rows) == (200, 64)


def test_a_column_that_moved_is_an_alarm_that_names_it(table: Artifact) -> None:
    rows = table_rows(200)
    rows["numbers"][:, 1] += 1.5
    write_csv(Path("today.csv"), rows)
    found = mltool.monitor.drift("table", current="today.csv")
    assert found.alarm
    assert found.drift.columns[0].name == "width"
    assert "length" not in drifted(found)
    assert found.drift.columns[0].distances.wasserstein_sd == pytest.approx(1.5, abs=0.4)


def test_every_form_of_file_gives_the_same_decision(table: Artifact) -> None:
    rows = table_rows(60)
    rows["numbers"] += np.float32(0.7)
    write_csv(Path("rows.csv"), rows)
    np.savez("rows.npz", **rows)
    records = [
        {"length": None if np.isnan(a) else float(a), "width": float(b), "colour": ("blue", "red", "green")[code]}
        for (a, b), code in zip(rows["numbers"], rows["categories"][:, 0], strict=True)
    ]
    Path("rows.json").write_text(json.dumps(records))
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, records)))
    found = [mltool.monitor.drift(current=f"rows.{form}").drift for form in ("csv", "npz", "json", "jsonl")]
    assert all(one == found[0] for one in found)


def test_a_category_that_training_did_not_show_is_found_as_unknown(table: Artifact, said: list[str]) -> None:
    rows = table_rows(200)
    rows["categories"][:] = 1
    rows["categories"][::2] = 0  # written as `blue`
    write_csv(Path("today.csv"), rows)
    found = mltool.monitor.drift(current="today.csv")
    assert found.alarm
    assert "colour" in drifted(found)
    (colour,) = (column for column in found.drift.columns if column.name == "colour")
    assert colour.distances.missing == 0.5
    assert any("which training did not show" in text for text in said)


def test_pictures_are_watched_by_pixels_summaries_and_answers(store: Store) -> None:
    picture_model(store)
    random = np.random.default_rng(9)
    pixels = random.integers(0, 256, (100, 1, 8, 8)).astype(np.uint8)
    np.save("same.npy", pixels)
    np.save("dark.npy", pixels // 2)
    assert not mltool.monitor.drift(current="same.npy").alarm
    found = mltool.monitor.drift(current="dark.npy")
    assert found.alarm
    assert {column.kind for column in found.drift.columns} == {"pixel", "output", "class"}


def test_what_is_found_is_kept_with_the_model(store: Store, table: Artifact) -> None:
    rows = table_rows(80)
    write_csv(Path("a.csv"), rows)
    rows["numbers"] += 2
    write_csv(Path("b.csv"), rows)
    first, second = (mltool.monitor.drift(current=name) for name in ("a.csv", "b.csv"))
    mltool.monitor.drift(current="a.csv")  # the same once more is the same proof
    proofs = store.attestations(table)
    assert [proof.digest for proof in proofs] == [first.attestation.digest, second.attestation.digest]
    rows["numbers"] += 1
    write_csv(Path("c.csv"), rows)
    third = mltool.monitor.drift(current="c.csv")
    assert third.attestation.metrics == second.attestation.metrics  # and yet it is another window
    assert third.attestation.digest != second.attestation.digest
    assert [proof.config["claim"] for proof in proofs] == [CLAIM, CLAIM]
    assert [proof.metrics["alarm"] for proof in proofs] == [0.0, 1.0]
    facts = proofs[1].manifest.facts
    assert facts["drift"] == json.loads(json.dumps(second.drift.to_json()))
    assert facts["window"] == {"current": "b.csv"}
    assert facts["config"]["alpha"] == 0.05


def test_an_alarm_does_not_keep_a_model_from_being_deployed(store: Store, table: Artifact) -> None:
    rows = table_rows(80)
    rows["numbers"] += 5
    write_csv(Path("b.csv"), rows)
    assert mltool.monitor.drift(current="b.csv").alarm
    assert admit(table, store) == ()


def test_the_reference_is_answered_by_the_runtime_that_answers_the_window(store: Store) -> None:
    model = linear_model(store)
    shutil.copytree(model.path, "copy")
    folder = Path("copy") / REFERENCE
    reference = Reference.load(folder)
    elsewhere = {name: array + np.float32(0.01) for name, array in reference.outputs.items()}
    replace(reference, outputs=elsewhere).save(folder)
    runner = load(model)
    known = watched(Artifact(Path("copy"), model.manifest), schema_of(model), runner, 16)
    answers = runner.run({"x": reference.rows["x"]})
    assert np.allclose(known.reference.outputs["logits"], answers["logits"], atol=1e-6)


# A window that cannot be looked at


@pytest.mark.parametrize("num_rows", [1, 9])
def test_too_few_rows_are_refused(table: Artifact, num_rows: int) -> None:
    write_csv(Path("few.csv"), table_rows(num_rows))
    with pytest.raises(DataError, match=rf"`few.csv` has {num_rows} rows?, but at least 10 are needed"):
        mltool.monitor.drift(current="few.csv")


def test_an_empty_window_is_refused(table: Artifact) -> None:
    write_csv(Path("empty.csv"), table_rows(0))
    with pytest.raises(DataError, match=r"`empty.csv` holds no rows"):
        mltool.monitor.drift(current="empty.csv")
    Path("empty.csv").write_text("")
    with pytest.raises(DataError, match=r"`empty.csv` is empty"):
        mltool.monitor.drift(current="empty.csv")


def test_a_file_that_is_not_there_is_refused(table: Artifact) -> None:
    with pytest.raises(DataError, match=r"`nowhere.csv` does not exist"):
        mltool.monitor.drift(current="nowhere.csv")


def test_a_column_that_is_not_there_is_said_and_found(table: Artifact, said: list[str]) -> None:
    write_csv(Path("today.csv"), table_rows(100), without="width")
    found = mltool.monitor.drift(current="today.csv")
    assert found.alarm
    assert drifted(found) >= {"width"}
    assert found.drift.columns[0].distances.missing == 1.0
    assert "`today.csv` has no field `width`: treated as missing in every row" in said


def test_a_column_too_many_is_refused_by_its_name(table: Artifact) -> None:
    write_csv(Path("today.csv"), table_rows(100), height="3")
    with pytest.raises(InputError, match=r"`today.csv`: unknown field `height`"):
        mltool.monitor.drift(current="today.csv")


def test_a_column_of_another_type_is_refused_by_its_line(table: Artifact) -> None:
    write_csv(Path("today.csv"), table_rows(100), without="width", width="tall")
    with pytest.raises(InputError, match=r"line 2 of `today.csv`: `width` is `tall`, but a number is needed"):
        mltool.monitor.drift(current="today.csv")


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_dead_column_is_a_finding(table: Artifact, value: float) -> None:
    rows = table_rows(100)
    rows["numbers"][:, 1] = value
    write_csv(Path("today.csv"), rows)
    found = mltool.monitor.drift(current="today.csv")
    assert found.alarm
    assert found.drift.columns[0].name == "width"


def test_a_model_without_its_reference_is_refused(store: Store, table: Artifact) -> None:
    write_csv(Path("today.csv"), table_rows(100))
    shutil.rmtree(table.path / REFERENCE)
    with pytest.raises(ArtifactError, match="is missing"):
        mltool.monitor.drift(current="today.csv")


def test_a_damaged_reference_is_refused(store: Store, table: Artifact) -> None:
    write_csv(Path("today.csv"), table_rows(100))
    path = table.path / REFERENCE / "reference.npz"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        mltool.monitor.drift(current="today.csv")


def test_a_model_that_keeps_too_few_rows_is_refused(store: Store) -> None:
    from torch import nn, ones

    mltool.save(nn.Linear(4, 3).eval(), ones(5, 4), name="tiny")
    np.save("x.npy", np.ones((50, 4), np.float32))
    with pytest.raises(ArtifactError, match="`tiny@1` cannot be watched: the reference keeps 5 rows, but at least 20"):
        mltool.monitor.drift("tiny", current="x.npy")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "there is nothing to look at"),
        ({"current": "a.csv", "deployment": "shop"}, "a file and a deployment are two windows"),
        ({"current": "a.csv", "since": "1h"}, "a file has no times"),
        ({"current": "a.csv", "alpha": 0.0}, "`monitor.alpha` must be at least 0.0005"),
        ({"current": "a.csv", "alpha": 1.0}, "at most 0.5, not `1.0`"),
        ({"deployment": "shop", "last": 0}, "`monitor.last` must be at least 1"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(table: Artifact, values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mltool.monitor.drift(**values)


# Folders and datasets


def test_a_folder_of_pictures_is_a_window(store: Store) -> None:
    picture_model(store)
    random = np.random.default_rng(9)
    pixels = random.integers(0, 256, (30, 8, 8)).astype(np.uint8)
    Path("today/more").mkdir(parents=True)
    for index, picture in enumerate(pixels // 2):
        Image.fromarray(picture).save(Path("today") / ("more" if index % 2 else "") / f"{index}.png")
    Path("today/notes.txt").write_text("no picture")
    found = mltool.monitor.drift(current="today")
    assert found.alarm
    assert (found.source, found.drift.num_rows) == ("`today`", 30)
    Path("today/broken.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(InputError, match=r"`today/broken.png`: the picture in `image` cannot be read"):
        mltool.monitor.drift(current="today")


def test_a_dataset_is_a_window_whatever_its_splits_and_codes(store: Store, table: Artifact, said: list[str]) -> None:
    rows = table_rows(120)
    write_csv(Path("march.csv"), rows, animal="ant")
    with Path("march.csv").open("a") as stream:
        stream.write("".join(f"{n},1.0,green,bee\n" for n in range(30)))
    mltool.data.add("source=march.csv", "data.label=animal", name="march")
    found = mltool.monitor.drift("table", current="march")
    assert (found.source, found.drift.num_rows) == ("the dataset `march@1`", 150)
    (colour,) = (column for column in found.drift.columns if column.name == "colour")
    assert colour.distances.missing == pytest.approx((rows["categories"] == 0).mean() * 120 / 150)
    by_path = mltool.monitor.drift("table", current=str(store.find("march", ArtifactKind.dataset).path))
    assert by_path.drift == found.drift
    with pytest.raises(ArtifactError, match="there is no `march@7`"):
        mltool.monitor.drift("table", current="march@7")


def test_a_dataset_of_another_kind_is_refused(store: Store) -> None:
    picture_model(store)
    write_csv(Path("march.csv"), table_rows(60), animal="ant")
    mltool.data.add("source=march.csv", "data.label=width", name="march")
    with pytest.raises(InputError, match="the dataset `march@1` holds float32"):
        mltool.monitor.drift("picture", current="march")


def test_a_window_that_the_model_was_made_with_is_said(store: Store, said: list[str]) -> None:
    write_csv(Path("march.csv"), table_rows(60))
    dataset = mltool.data.add("source=march.csv", "data.label=colour", name="march")
    model = table_model(store)
    parent = Parent("dataset", dataset.kind, dataset.digest, dataset.ref)
    made = Artifact(model.path, replace(model.manifest, parents=(parent,)), model.ref)
    window = of_current("march", made, load(made), 16, store)
    assert window.num_rows == 60
    assert "`table@1` was made with the dataset `march@1`, so what it answers looks surer than it is" in said
