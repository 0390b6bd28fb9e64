from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mltool
from mltool.core.errors import ConfigError, DataError, InputError
from mltool.datasets.schema import schema_of

pytestmark = pytest.mark.xdist_group("corn")


@pytest.fixture(scope="session")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> mltool.Model:
    """A table with numbers and categories, some of them missing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("penguins"))
        return mltool.train("data.source=penguins", epochs=8)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> mltool.Model:
    """Pictures of two classes, dark and bright."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for label, low in (("dark", 0), ("bright", 150)):
        (folder / "photos" / label).mkdir(parents=True)
        for i in range(24):
            pixels = random.integers(low, low + 90, (10, 10, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / label / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return mltool.train("data.source=photos", "model.args.hidden=4", epochs=6, batch_size=8, name="photos")


BIRD = {
    "species": "Gentoo",
    "island": "Biscoe",
    "bill_length_mm": 48.4,
    "bill_depth_mm": 14.6,
    "flipper_length_mm": 213,
    "body_mass_g": 5850,
    "sex": "male",
    "year": 2007,
}


def record(penguins: mltool.Model, **changed: Any) -> dict[str, Any]:
    from mltool.datasets.schema import schema_of

    fields = [column.name for column in schema_of(penguins).columns]
    return {name: value for name, value in {**BIRD, **changed}.items() if name in fields}


def asked(penguins: mltool.Model, text: str, suffix: str) -> list[dict[str, Any]]:
    Path(f"birds{suffix}").write_text(text)
    return penguins.predict(f"birds{suffix}")


def test_a_record_is_answered_with_label_confidence_and_probabilities(penguins: mltool.Model) -> None:
    (answer,) = penguins.predict(record(penguins))
    assert answer["label"] == "Gentoo"
    assert answer["confidence"] == max(answer["probabilities"].values()) > 0.5
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
    assert list(answer["probabilities"]) == ["Adelie", "Chinstrap", "Gentoo"]


def test_every_form_of_file_has_the_same_answer(penguins: mltool.Model) -> None:
    bird = record(penguins)
    wanted = penguins.predict([bird, bird])
    header, row = ",".join(bird), ",".join(map(str, bird.values()))
    assert asked(penguins, json.dumps([bird, bird]), ".json") == wanted
    assert asked(penguins, f"{json.dumps(bird)}\n{json.dumps(bird)}\n", ".jsonl") == wanted
    assert asked(penguins, f"{header}\n{row}\n{row}\n", ".csv") == wanted
    assert mltool.predict(str(penguins.path), "input=birds.csv") == wanted


def test_standard_input_is_read_where_the_file_is_a_dash(
    penguins: mltool.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    bird = record(penguins)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(bird).encode())))
    assert penguins.predict("-") == penguins.predict(bird)


def test_missing_and_unknown_values_have_answers(penguins: mltool.Model) -> None:
    gaps = record(penguins, sex="unheard of", island=None, bill_depth_mm=None, body_mass_g="NA")
    (answer,) = penguins.predict(gaps)
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
    absent = {key: value for key, value in gaps.items() if value is not None}
    assert penguins.predict(absent) == [answer]


def test_a_field_that_is_not_there_names_the_nearest(penguins: mltool.Model) -> None:
    with pytest.raises(InputError, match="unknown field `bill_lenght_mm`") as caught:
        penguins.predict({"bill_lenght_mm": 40})
    assert str(caught.value.hint).startswith("did you mean `bill_length_mm`")


def test_a_picture_is_answered_from_its_file(photos: mltool.Model) -> None:
    for label, value in (("dark", 30), ("bright", 200)):
        Image.fromarray(np.full((20, 14, 3), value, np.uint8)).save(f"{label}.jpg")
        (answer,) = photos.predict(f"{label}.jpg")
        assert answer["label"] == label


def test_an_array_file_of_one_or_many_samples_is_answered(corn_model: mltool.Model, corn: Any) -> None:
    images = corn.images[500:503].numpy()
    np.save("many.npy", images)
    np.save("one.npy", images[0])
    np.save("double.npy", images.astype(np.float64))
    many = corn_model.predict("many.npy")
    assert many == corn_model.predict(images) == corn_model.predict("double.npy")
    assert corn_model.predict("one.npy")[0]["label"] == many[0]["label"]


def test_arrays_may_be_torchs_or_of_another_precision(corn_model: mltool.Model, corn: Any) -> None:
    images = corn.images[500:503]
    wanted = corn_model.predict(images.numpy())
    assert corn_model.predict(images) == wanted
    assert corn_model.predict(images.numpy().astype(np.float64)) == wanted
    assert corn_model.predict({"x": images.numpy().astype(np.float16).astype(np.float64)})[0]["label"]


def test_the_size_of_a_batch_changes_no_answer(corn_model: mltool.Model, corn: Any) -> None:
    images = corn.images[500:531].numpy()
    whole = corn_model.predict(images)
    for batch_size in (1, 7, 31):
        for one, other in zip(whole, corn_model.predict(images, batch_size=batch_size), strict=True):
            assert one["label"] == other["label"]
            assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-5)


def test_no_records_are_no_answers(penguins: mltool.Model, corn_model: mltool.Model) -> None:
    assert penguins.predict([]) == []
    assert corn_model.predict(np.zeros((0, 1, 8, 8), np.float32)) == []


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (np.zeros((2, 8, 8), np.float32), r"`x` has the shape \[2, 8, 8\], but \[N, 1, 8, 8\] is needed"),
        ({"y": np.zeros((2, 1, 8, 8), np.float32)}, "the model has no input `y`"),
        (np.array(["a"]), r"`x` has the shape \[1\]"),
        ([{"x": [1, 2]}], r"record 1: `x` has the shape \[2\]"),
        ([3], "record 1: `3` is not an object"),
    ],
)
def test_what_does_not_fit_is_named(records: Any, why: str, corn_model: mltool.Model) -> None:
    with pytest.raises(InputError, match=why):
        corn_model.predict(records)


def test_what_is_no_record_at_all_is_refused(corn_model: mltool.Model) -> None:
    with pytest.raises(ConfigError, match="a `float` cannot be predicted"):
        corn_model.predict(3.0)
    with pytest.raises(ConfigError, match="there is nothing to predict"):
        mltool.predict(str(corn_model.path))
    with pytest.raises(ConfigError, match="there is nothing to predict"):
        corn_model.predict(None)


def test_a_file_that_is_not_there_is_named(corn_model: mltool.Model) -> None:
    with pytest.raises(DataError, match=r"`absent\.json` does not exist"):
        corn_model.predict("absent.json")


def test_values_are_checked_before_anything_is_loaded(corn_model: mltool.Model) -> None:
    with pytest.raises(ConfigError, match="`threads` must be"):
        corn_model.predict(torch.zeros(1, 1, 8, 8), threads=0)
    with pytest.raises(ConfigError, match="unknown key `thread`"):
        corn_model.predict(torch.zeros(1, 1, 8, 8), thread=1)


LEAN = """
import sys, mltool
model = mltool.load({path!r})
answers = model.predict({file!r})
evaluation = model.evaluate()
heavy = ("torch", "scipy", "pyarrow", "onnx", "sklearn", "pandas", "wandb", "dvc", "typer", "rich", "matplotlib")
print([name for name in heavy if name in sys.modules], len(answers), evaluation.num_samples)
"""


@pytest.mark.parametrize("model", ["corn_model", "penguins", "photos"])
def test_predicting_and_evaluating_load_neither_torch_nor_scipy(model: str, request: pytest.FixtureRequest) -> None:
    made: mltool.Model = request.getfixturevalue(model)
    if model == "corn_model":
        np.save("input.npy", np.zeros((3, 1, 8, 8), np.float32))
    elif model == "penguins":
        Path("input.csv").write_text("island,sex\nBiscoe,male\nDream,female\nDream,\n")
    else:
        Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save("input.png")
    (file,) = Path().glob("input.*")
    run = subprocess.run(
        [sys.executable, "-c", LEAN.format(path=str(made.path), file=str(file.resolve()))],
        cwd=made.path.parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, answers, evaluated = run.stdout.rsplit(" ", 2)
    assert loaded == "[]"
    assert int(answers) == (1 if model == "photos" else 3)
    assert int(evaluated) > 5


def test_nan_is_refused_where_nothing_fills_it_in() -> None:
    torch.manual_seed(0)
    model = mltool.save(nn.Linear(3, 2), torch.rand(8, 3), torch.arange(8) % 2, name="small")
    with pytest.raises(InputError, match="`input` holds NaN in row 2"):
        model.predict(np.array([[0, 0, 0], [0, np.nan, 0]], np.float32))


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        (
            {"numbers": 3, "categories": 4},
            r"the inputs differ in their number of rows: \{'numbers': 3, 'categories': 4\}",
        ),
        ({"numbers": 3}, "the input `categories` is missing"),
        ({"numbers": 3, "categories": 3, "more": 3}, "the model has no input `more`"),
        ({"numbers": np.inf, "categories": 1}, "`numbers` holds an infinite value in row 1"),
        ({"numbers": 1, "categories": -3}, "the codes of `island` must be from 0 to 3"),
        ({"numbers": 1, "categories": -99}, "the codes of `island` must be from 0 to 3"),
    ],
)
def test_arrays_are_held_to_what_files_are(arrays: dict[str, float], why: str, penguins: mltool.Model) -> None:
    shapes = {spec.name: spec.shape for spec in schema_of(penguins).inputs}
    given = {}
    for name, rows in arrays.items():
        dtype = np.int64 if name == "categories" else np.float32
        given[name] = np.zeros((int(rows) if 0 < rows < 9 else 1, *shapes.get(name, (1,))), dtype)
        if not 0 < rows < 9:
            given[name][:] = abs(rows) if rows < -9 else rows
    with pytest.raises(InputError, match=why):
        penguins.predict(given)


def test_an_empty_record_of_pictures_and_tensors_that_learn_are_no_traceback(
    photos: mltool.Model, corn_model: mltool.Model, corn: Any
) -> None:
    with pytest.raises(InputError, match="the picture in `image` is missing"):
        photos.predict({})
    learning = corn.images[:2].clone().requires_grad_()
    assert corn_model.predict(learning) == corn_model.predict(corn.images[:2])


def test_categories_that_training_did_not_show_are_warned_of(penguins: mltool.Model, said: list[str]) -> None:
    penguins.predict([record(penguins, island="Paris"), record(penguins, island="Rome"), record(penguins)])
    assert "`island` of the records is `Paris`, `Rome`, which training did not show: treated as unknown" in said
    said.clear()
    penguins.predict(record(penguins))
    assert not [text for text in said if "did not show" in text]
