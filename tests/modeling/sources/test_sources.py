from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mltool.artifacts.store import Store, open_store
from mltool.core.errors import ConfigError, DataError
from mltool.datasets.config import DataConfig
from mltool.modeling.sources.names import default_name, model_name, project_name
from mltool.modeling.sources.open import open_dataset

TABLE = "size,kind,price\n" + "".join(f"{i},{'ab'[i % 2]},{i * 1.5}\n" for i in range(40))


@pytest.fixture
def store(project: Path) -> Store:
    return open_store()


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"source": "data/raw/corn.csv"}, "corn"),
        ({"source": "corn.csv.gz"}, "corn"),
        ({"source": "my corn (2).npz"}, "my-corn-2"),
        ({"source": "data/photos/"}, "photos"),
        ({"source": "digits"}, "digits"),
        ({"target": "src.data:corrupt_mnist"}, "corrupt_mnist"),
        ({"source": "данные.csv"}, "model"),
    ],
)
def test_a_dataset_is_named_after_its_source(config: dict[str, str], name: str) -> None:
    assert default_name(DataConfig(**config)) == name


def test_a_dataset_of_the_current_folder_is_named_after_the_folder(project: Path) -> None:
    assert default_name(DataConfig(source=".")) == project.name.strip("-._")


def test_a_model_is_named_after_its_embedded_set_or_its_project(
    write: Callable[[str, str], Path], store: Store, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("table.csv", TABLE)
    config = DataConfig(source="table.csv")
    dataset = open_dataset(config, store)
    folder = project / "my corn (final)"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert model_name(None, config, dataset) == project_name() == "my-corn-final"
    assert model_name("maize", config, dataset) == "maize"
    assert (
        model_name(None, DataConfig(source="penguins"), open_dataset(DataConfig(source="penguins"), store))
        == "penguins"
    )


def test_a_name_that_cannot_be_a_name_is_refused(write: Callable[[str, str], Path], store: Store) -> None:
    write("table.csv", TABLE)
    config = DataConfig(source="table.csv")
    with pytest.raises(ConfigError, match="`my corn`"):
        model_name("my corn", config, open_dataset(config, store))


def test_an_unchanged_source_is_not_decoded_again(write: Callable[[str, str], Path], store: Store) -> None:
    path = write("table.csv", TABLE)
    config = DataConfig(source="table.csv")
    first = open_dataset(config, store).artifact
    assert open_dataset(config, store).artifact.path == first.path
    path.write_text(TABLE.replace("39,b", "39,a"))
    assert open_dataset(config, store).artifact.path != first.path


@pytest.mark.parametrize("ref", ["table", "table@1", "grown", "spring.v2", "spring.v2@1"])
def test_a_dataset_in_the_store_is_found_by_its_name(ref: str, write: Callable[[str, str], Path], store: Store) -> None:
    write("table.csv", TABLE)
    name = ref.partition("@")[0]
    made = open_dataset(DataConfig(source="table.csv"), store, None if name == "table" else name).artifact
    assert open_dataset(DataConfig(source=ref), store).artifact.digest == made.digest


def test_every_kind_of_source_is_told_apart(write: Callable[[str, str], Path], project: Path, store: Store) -> None:
    write("table.csv", TABLE)
    images = np.zeros((12, 1, 4, 4), np.float32) + np.arange(12, dtype=np.float32)[:, None, None, None]
    np.savez(project / "arrays.npz", images=images, labels=np.arange(12) % 2)
    torch.save((torch.from_numpy(images), torch.arange(12) % 2), project / "TENSORS.PT")
    for label in ("cat", "dog"):
        (project / "photos" / label).mkdir(parents=True)
        for i in range(6):
            pixels = np.full((8, 8, 3), i * 20 + len(label), np.uint8)
            Image.fromarray(pixels).save(project / "photos" / label / f"{i}.png")
    kinds = {
        source: open_dataset(DataConfig(source=source), store).schema.columns[0].kind
        for source in ("table.csv", "arrays.npz", "TENSORS.PT", "photos", "digits")
    }
    assert kinds == {
        "table.csv": "number",
        "arrays.npz": "tensor",
        "TENSORS.PT": "tensor",
        "photos": "image",
        "digits": "image",
    }


@pytest.mark.parametrize("source", ["absent.csv", "data/absent", "absent.tar"])
def test_a_path_that_is_not_there_is_named_with_the_folder(source: str, store: Store, project: Path) -> None:
    with pytest.raises(DataError, match=f"`data.source={source}` does not exist in `{project}`") as caught:
        open_dataset(DataConfig(source=source), store)
    assert "digits, penguins" in str(caught.value.hint)


def test_a_name_that_is_not_there_is_no_path_either(store: Store) -> None:
    with pytest.raises(DataError, match=r"`data.source=digit` is no file, folder or dataset here"):
        open_dataset(DataConfig(source="digit"), store)


def test_a_form_that_is_not_known_lists_those_that_are(write: Callable[[str, str], Path], store: Store) -> None:
    write("corn.xlsx", "x")
    with pytest.raises(DataError, match=r"`corn.xlsx` has a form that is not known") as caught:
        open_dataset(DataConfig(source="corn.xlsx"), store)
    assert ".parquet" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("config", "knob", "source"),
    [
        ({"source": "arrays.npz", "image_size": 8}, "image_size=8", "a file of arrays"),
        ({"source": "arrays.npz", "test": "other"}, "test=other", "a file of arrays"),
        ({"source": "tensors.pt", "categories": ("a", "b")}, "categories=a,b", "a `.pt` file"),
        ({"source": "digits", "test": "other"}, "test=other", "the embedded set `digits`"),
        ({"source": "penguins", "channels": 3}, "channels=3", "the embedded set `penguins`"),
        ({"source": "table.csv", "image_size": 8}, "image_size=8", "a table"),
        ({"source": "table.csv", "args": {"n": 1}}, "args={'n': 1}", "a table"),
        ({"source": "photos", "label": "kind"}, "label=kind", "a folder of pictures"),
        ({"target": "pkg.mod:make", "test": "other"}, "test=other", "`data.target`"),
    ],
)
def test_a_knob_that_the_source_would_not_read_is_refused(
    config: dict[str, Any], knob: str, source: str, write: Callable[[str, str], Path], store: Store
) -> None:
    for name in ("table.csv", "arrays.npz", "tensors.pt", "photos/cat/1.png"):
        write(name, TABLE)
    with pytest.raises(ConfigError) as caught:
        open_dataset(DataConfig(**config), store)
    assert caught.value.message == f"`data.{knob}` does not go with {source}, which it would not change"


def test_a_source_beside_a_target_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"`data.source=x.csv` and `data.target=pkg.mod:make` both say"):
        open_dataset(DataConfig(source="x.csv", target="pkg.mod:make"), store)


def test_no_dataset_takes_the_name_of_an_embedded_set(write: Callable[[str, str], Path], store: Store) -> None:
    write("digits.csv", TABLE)
    config = DataConfig(source="digits.csv")
    assert open_dataset(config, store).artifact.name == "digits-data"
    with pytest.raises(ConfigError, match="`penguins` is the name of an embedded set"):
        open_dataset(config, store, "penguins")
    assert open_dataset(DataConfig(source="digits"), store).schema.image is not None


def test_a_folder_that_is_called_like_an_embedded_set_is_read_and_said(
    project: Path, store: Store, said: list[str]
) -> None:
    for label in ("cat", "dog"):
        (project / "digits" / label).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(np.full((8, 8), i * 20 + len(label), np.uint8)).save(project / f"digits/{label}/{i}.png")
    assert open_dataset(DataConfig(source="digits"), store).artifact.name == "digits-data"
    assert "`digits` is what stands in this folder, not the embedded set of that name" in said
