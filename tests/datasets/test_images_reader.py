from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mltool.core import events
from mltool.core.errors import DataError
from mltool.datasets.config import DataConfig
from mltool.datasets.readers import images
from mltool.datasets.source import SPLITS

CONFIG = DataConfig(source="pictures")


def draw(path: Path, colour: int | tuple[int, int, int] = 100, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)


def cut(path: Path) -> None:
    """A picture whose header is whole and whose pixels are not."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (6, 8), dtype=np.uint8)
    Image.fromarray(np.kron(noise, np.ones((8, 8), dtype=np.uint8))).save(file, "PNG")
    path.write_bytes(file.getvalue()[:-30])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for index in range(4):
        draw(root / "cats" / f"{index}.png", 10 + index)
        draw(root / "dogs" / "small" / f"{index}.png", 20 + index)
    return root


def decoded(source: images.ImageSource) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(source.num_rows)
    batches = list(source.batches(rows, source.schema(rows)))
    return np.concatenate([inputs["image"] for inputs, _ in batches]), np.concatenate([codes for _, codes in batches])


def test_each_folder_is_a_class_and_folders_below_belong_to_it(folder: Path) -> None:
    source = images.read(CONFIG, folder)
    schema = source.schema(np.arange(8))
    image_NCHW, codes_N = decoded(source)
    assert schema.target.classes == ("cats", "dogs")
    assert schema.inputs[0].shape == (1, 6, 8)
    assert image_NCHW[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 20, 21, 22, 23]
    assert codes_N.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert source.stratify_N is not None
    assert source.stratify_N.tolist() == codes_N.tolist()
    assert source.estimated_bytes() == 8 * (48 + 8)
    assert source.splits == {}
    assert source.damage.found == []


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "dev", "Val"])
def test_split_folders_become_splits(folder: Path, tmp_path: Path, validation: str) -> None:
    root = tmp_path / "root"
    for name in ("train", validation, "test"):
        for kind in ("cats", "dogs"):
            shutil.copytree(folder / kind, root / name / kind)
    source = images.read(CONFIG, root)
    assert {name: len(rows) for name, rows in source.splits.items()} == dict.fromkeys(SPLITS, 8)
    assert source.files[source.splits["validation"][0]].startswith(validation)
    assert source.schema(source.splits["train"]).target.classes == ("cats", "dogs")
    assert "train 8, validation 8, test 8" in source.notes[0]


def test_a_class_named_train_is_a_class(tmp_path: Path) -> None:
    for name in ("train", "car"):
        draw(tmp_path / name / "1.png")
    source = images.read(CONFIG, tmp_path)
    assert source.splits == {}
    assert source.schema(np.arange(2)).target.classes == ("car", "train")


def test_split_and_class_folders_side_by_side_are_an_error(tmp_path: Path) -> None:
    draw(tmp_path / "train" / "cats" / "1.png")
    draw(tmp_path / "dogs" / "1.png")
    with pytest.raises(DataError, match="mixes split folders"):
        images.read(CONFIG, tmp_path)


def test_a_class_without_training_pictures_is_an_error(tmp_path: Path) -> None:
    draw(tmp_path / "train" / "cats" / "1.png")
    draw(tmp_path / "train" / "dogs" / "1.png")
    draw(tmp_path / "test" / "Cats" / "1.png")
    with pytest.raises(DataError, match=r"class `Cats` of `.*` has no pictures to train on"):
        images.read(CONFIG, tmp_path)


def test_what_is_no_picture_is_left_out_and_counted(folder: Path) -> None:
    (folder / "cats" / "notes.txt").write_text("cats")
    (folder / "README.md").write_text("all")
    (folder / ".DS_Store").write_text("hidden")
    (folder / ".cache").mkdir()
    draw(folder / ".cache" / "1.png")
    draw(folder / "loose.png")
    source = images.read(CONFIG, folder)
    assert source.num_rows == 8
    assert any("2 files that are not pictures" in note and "1 .txt" in note for note in source.notes)
    assert any("1 pictures are in no class folder" in note and "`loose.png`" in note for note in source.notes)
    assert not any("DS_Store" in note for note in source.notes)


def test_a_truncated_image_is_counted_and_listed(folder: Path) -> None:
    cut(folder / "cats" / "cut.png")
    source = images.read(CONFIG, folder)
    rows = np.arange(source.num_rows)
    batches = list(source.batches(rows, source.schema(rows)))
    again = list(source.batches(rows, source.schema(rows)))
    assert sum(len(codes) for _, codes in batches) == sum(len(codes) for _, codes in again) == 8
    [(where, why)] = source.damage.found
    assert where == "cats/cut.png"
    assert why
    assert source.damage.num_seen == 9
    with pytest.raises(DataError, match=r"1 of 9 rows are damaged.*cats/cut.png"):
        source.damage.enforce(0.1)


def test_a_file_without_a_header_is_damaged_before_anything_is_decoded(folder: Path) -> None:
    (folder / "dogs" / "bad.jpg").write_bytes(b"nothing")
    (folder / "dogs" / "empty.jpg").write_bytes(b"")
    source = images.read(CONFIG, folder)
    assert source.num_rows == 8
    assert [where for where, _ in source.damage.found] == ["dogs/bad.jpg", "dogs/empty.jpg"]
    assert source.damage.found[1][1] == "the file is empty"


def test_a_file_that_vanishes_after_the_scan_is_damage(folder: Path) -> None:
    source = images.read(CONFIG, folder)
    (folder / "cats" / "2.png").unlink()
    _, codes_N = decoded(source)
    assert len(codes_N) == 7
    assert source.damage.found[0][0] == "cats/2.png"


def test_the_commonest_size_is_taken_and_said(folder: Path) -> None:
    draw(folder / "cats" / "large.png", 50, size=(40, 30))
    source = images.read(CONFIG, folder)
    image_NCHW, _ = decoded(source)
    assert image_NCHW.shape == (9, 1, 6, 8)
    assert any("2 sizes; all become 8x6 pixels, the commonest" in note for note in source.notes)


def test_the_configured_size_and_channels_win(folder: Path) -> None:
    source = images.read(DataConfig(image_size=5, channels=3), folder)
    image_NCHW, _ = decoded(source)
    assert image_NCHW.shape == (8, 3, 5, 5)
    assert any("become 5x5 pixels, colour; 8 of 8 are resized" in note for note in source.notes)


def test_one_picture_in_colour_makes_all_colour(folder: Path) -> None:
    draw(folder / "cats" / "red.png", (255, 0, 0))
    source = images.read(CONFIG, folder)
    image_NCHW, _ = decoded(source)
    assert image_NCHW.shape == (9, 3, 6, 8)
    assert image_NCHW[4, :, 0, 0].tolist() == [255, 0, 0]


def test_the_schema_of_another_source_decides_size_and_codes(folder: Path, tmp_path: Path) -> None:
    for name in ("ants", "dogs"):
        draw(tmp_path / "other" / name / "1.png", 7, size=(3, 3))
    source = images.read(CONFIG, folder)
    test = images.read(CONFIG, tmp_path / "other")
    [(inputs, codes_N)] = test.batches(np.arange(2), source.schema(np.arange(8)))
    assert inputs["image"].shape == (1, 1, 6, 8)
    assert codes_N.tolist() == [1]
    assert test.damage.found == [("ants/1.png", "its class `ants` is not a class of the dataset")]


def test_batches_are_bounded_and_keep_the_order_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BATCH_BYTES", 3 * 48)
    source = images.read(CONFIG, folder)
    rows = np.array([7, 0, 3, 5, 1])
    batches = list(source.batches(rows, source.schema(rows)))
    assert [len(codes) for _, codes in batches] == [3, 2]
    assert np.concatenate([inputs["image"] for inputs, _ in batches])[:, 0, 0, 0].tolist() == [23, 10, 13, 21, 11]


def test_the_fingerprint_follows_names_and_contents(folder: Path) -> None:
    first = images.read(CONFIG, folder).fingerprint
    os.utime(folder / "cats" / "0.png", (1, 1))
    assert images.read(CONFIG, folder).fingerprint == first
    draw(folder / "cats" / "0.png", 99)
    second = images.read(CONFIG, folder).fingerprint
    (folder / "cats" / "0.png").rename(folder / "dogs" / "0.png")
    assert len({first, second, images.read(CONFIG, folder).fingerprint}) == 3


def test_one_class_is_an_error_of_the_schema(tmp_path: Path) -> None:
    draw(tmp_path / "cats" / "1.png")
    with pytest.raises(DataError, match="one class only, `cats`"):
        images.read(CONFIG, tmp_path).schema(np.arange(1))


@pytest.mark.parametrize("name", ["notes.txt", "loose.png", "cats/broken.png"])
def test_a_folder_without_usable_pictures_is_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="picture"):
        images.read(CONFIG, tmp_path)


def test_linked_folders_are_followed_once(folder: Path) -> None:
    (folder / "cats" / "loop").symlink_to(folder, target_is_directory=True)
    outside = folder.parent / "flock"
    draw(outside / "1.png", 3)
    (folder / "birds").symlink_to(outside, target_is_directory=True)
    source = images.read(CONFIG, folder)
    assert source.num_rows == 9
    assert source.schema(np.arange(9)).target.classes == ("birds", "cats", "dogs")


def test_the_scan_reports_its_progress(folder: Path) -> None:
    seen: list[events.Event] = []
    with events.subscribed(seen.append):
        images.read(CONFIG, folder)
    last = seen[-1]
    assert isinstance(last, events.Progress)
    assert (last.done, last.total, last.unit) == (8, 8, "pictures")
