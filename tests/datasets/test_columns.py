from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.core.errors import ArtifactError
from mltool.datasets.columns import TARGET, Columns, ColumnWriter, column_writers, open_columns

# Axes: N rows

DTYPES = ("uint8", "float32", "int64", "float64", "bool")


def write(folder: Path, **columns: npt.NDArray[Any]) -> Path:
    specs = {name: (column.dtype, column.shape[1:]) for name, column in columns.items()}
    with column_writers(folder, specs) as writers:
        for name, column in columns.items():
            for row in range(0, len(column), 3):
                writers[name].append(column[row : row + 3])
    return folder


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), max_size=3).map(tuple),
    sizes=st.lists(st.integers(0, 5), max_size=4),
    seed=st.integers(0, 99),
)
def test_what_is_appended_is_what_numpy_reads(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, shape: tuple[int, ...], sizes: list[int], seed: int
) -> None:
    path = tmp_path_factory.mktemp("column") / "x.npy"
    generator = np.random.default_rng(seed)
    parts = [generator.integers(0, 255, (size, *shape)).astype(dtype) for size in sizes]
    writer = ColumnWriter(path, dtype, shape)
    for part in parts:
        writer.append(part)
    writer.close()
    whole = np.concatenate([np.empty((0, *shape), dtype), *parts])
    read = np.load(path)
    assert (read.dtype, read.shape, writer.num_rows) == (whole.dtype, whole.shape, len(whole))
    np.testing.assert_array_equal(read, whole)


def test_rows_that_are_not_contiguous_are_written_in_their_order(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    with column_writers(tmp_path, {"x": (np.int64, (4, 3))}) as writers:
        writers["x"].append(values.transpose(0, 2, 1))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), values.transpose(0, 2, 1))


def test_the_header_has_room_for_more_rows_than_any_disk(tmp_path: Path) -> None:
    for name, shape in {"flat": (), "large": (3, 4096, 4096), "deep": (1,) * 30}.items():
        writer = ColumnWriter(tmp_path / f"{name}.npy", np.float32, shape)
        writer.num_rows = 10**18
        writer.close()
        with (tmp_path / f"{name}.npy").open("rb") as stream:
            np.lib.format.read_magic(stream)
            assert np.lib.format.read_array_header_1_0(stream)[0] == (10**18, *shape)


@pytest.mark.parametrize(
    "rows_N",
    [np.zeros((2, 3), np.float64), np.zeros((2, 4), np.float32), np.zeros(2, np.float32), np.zeros((2, 3, 1), "f4")],
)
def test_rows_of_another_type_or_shape_are_refused(tmp_path: Path, rows_N: npt.NDArray[Any]) -> None:
    with column_writers(tmp_path, {"x": (np.float32, (3,))}) as writers:
        with pytest.raises(ValueError, match="do not fit float32"):
            writers["x"].append(rows_N)
        assert writers["x"].num_rows == 0
    assert np.load(tmp_path / "x.npy").shape == (0, 3)


def test_a_split_is_mapped_and_read_slice_by_slice(tmp_path: Path) -> None:
    image = np.arange(7 * 4, dtype=np.uint8).reshape(7, 1, 2, 2)
    target = np.arange(7, dtype=np.int64)
    columns = open_columns(write(tmp_path, image=image, target=target), ["image"])
    assert isinstance(columns.inputs["image"], np.memmap)
    assert len(columns) == 7
    inputs, targets = columns.take(np.array([5, 0, 5]))
    assert targets.tolist() == [5, 0, 5]
    np.testing.assert_array_equal(inputs["image"], image[[5, 0, 5]])
    inputs["image"][:] = 0  # copies: whoever changes them does not change the dataset
    assert [len(targets) for _, targets in columns.batches(3)] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([inputs["image"] for inputs, _ in columns.batches(3)]), image)


def test_a_split_without_rows_can_be_opened(tmp_path: Path) -> None:
    columns = open_columns(write(tmp_path, x=np.empty((0, 5), "f4"), target=np.empty(0, "i8")), ["x"])
    assert (len(columns), columns.inputs["x"].shape, list(columns.batches(4))) == (0, (0, 5), [])


def test_an_error_within_the_block_closes_every_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"), column_writers(tmp_path, {"x": ("f4", ())}) as writers:
        raise RuntimeError("half way")
    assert writers["x"]._stream.closed


def test_a_file_that_cannot_be_opened_leaves_the_others_closed(tmp_path: Path) -> None:
    (tmp_path / "y.npy").mkdir()
    specs: dict[str, tuple[npt.DTypeLike, tuple[int, ...]]] = {"x": ("f4", ()), "y": ("f4", ())}
    with pytest.raises(IsADirectoryError), column_writers(tmp_path, specs):
        raise AssertionError  # pragma: no cover
    assert np.load(tmp_path / "x.npy").shape == (0,)  # an open file would also warn, and warnings are errors


def columns_of(folder: Path) -> Columns:
    return open_columns(folder, ["x"])


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return write(tmp_path, x=np.ones((5, 3), np.float32), target=np.zeros(5, np.int64))


@pytest.mark.parametrize("name", ["x", TARGET])
@pytest.mark.parametrize("kept", [0, 3, 60, 128, 130, -1])
def test_a_column_that_is_cut_off_anywhere_is_damaged(split: Path, name: str, kept: int) -> None:
    path = split / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=rf"`.*{name}\.npy` is a damaged column"):
        columns_of(split)


def test_a_column_whose_writer_never_came_to_its_end_is_damaged(split: Path) -> None:
    writer = ColumnWriter(split / "x.npy", np.float32, (3,))
    writer.append(np.ones((5, 3), np.float32))
    writer._stream.close()  # as a killed process leaves it: rows, under a header of 0 rows
    with pytest.raises(ArtifactError, match="other rows than its header says"):
        columns_of(split)


def test_pickled_objects_and_missing_columns_are_refused(split: Path) -> None:
    np.save(split / "x.npy", np.array([{}] * 5, object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="is a damaged column"):
        columns_of(split)
    (split / "x.npy").unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        columns_of(split)


def test_columns_of_different_lengths_are_refused(split: Path) -> None:
    write(split, x=np.ones((4, 3), np.float32))
    with pytest.raises(ArtifactError, match="differ in length"):
        columns_of(split)


@pytest.mark.parametrize("name", ["../x", "../../x", "a/x", "/x"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "train"
    with pytest.raises(ArtifactError, match=f"`{name}` cannot name a column"):
        write(folder, **{name: np.zeros(3)})
    assert list(tmp_path.rglob("*.npy")) == []
    with pytest.raises(ArtifactError, match=f"`{name}` cannot name a column"):
        open_columns(folder, [name])
