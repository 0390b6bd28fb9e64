from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mltool.core.errors import ArtifactError
from mltool.statistics.calibration import reliability_curve
from mltool.statistics.reference import MAX_ROW_BYTES, Reference, build_reference

FILES = ("reference.json", "reference.npz")


def arguments(num_rows: int = 300) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(num_rows, 3)).astype(np.float32)
    numbers[::5, 1] = np.nan
    return {
        "numbers": {"age": numbers[:, 0], "a/b ü": numbers[:, 1], "broken": np.full(num_rows, np.nan)},
        "categories": {"town": (rng.integers(0, 4, num_rows), 3), "empty": (np.zeros(num_rows, int), 0)},
        "target_classes": np.array([100, 150, 50]),
        "rows": {"numbers": numbers, "image": rng.integers(0, 256, (num_rows, 1, 4, 4), dtype=np.uint8)},
        "outputs": {"probabilities": rng.dirichlet(np.ones(3), num_rows).astype(np.float32)},
        "row_split": "test",
        "correct": rng.random(num_rows) < 0.7,
        "confidence": rng.random(num_rows),
        "seed": 1,
    }


def assert_same(one: Reference, other: Reference) -> None:
    assert list(one.numbers) == list(other.numbers)
    for name, sketch in one.numbers.items():
        for field in type(sketch).__slots__:
            np.testing.assert_array_equal(getattr(sketch, field), getattr(other.numbers[name], field))
            assert type(getattr(sketch, field)) is type(getattr(other.numbers[name], field))
    assert list(one.categories) == list(other.categories)
    for name, counts in one.categories.items():
        np.testing.assert_array_equal(counts.counts, other.categories[name].counts)
    assert (one.class_counts is None) == (other.class_counts is None)
    if one.class_counts is not None:
        np.testing.assert_array_equal(one.class_counts, other.class_counts)
    for mine, theirs in ((one.rows, other.rows), (one.outputs, other.outputs)):
        assert list(mine) == list(theirs)
        for name, array in mine.items():
            np.testing.assert_array_equal(array, theirs[name], strict=True)
    assert (one.reliability, one.row_split) == (other.reliability, other.row_split)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reference") / "made" / "here"
    build_reference(**arguments()).save(directory)
    return directory


def test_what_is_saved_is_what_is_loaded(saved: Path) -> None:
    reference = build_reference(**arguments())
    assert_same(reference, Reference.load(saved))
    missing = {name: sketch.num_missing / sketch.num_rows for name, sketch in reference.numbers.items()}
    assert missing == {"age": 0.0, "a/b ü": 0.2, "broken": 1.0}
    assert reference.categories["town"].num_rows == 300
    given = arguments()
    assert reference.reliability == reliability_curve(given["confidence"], given["correct"])


def test_a_reference_of_nothing_but_a_split_is_saved_and_loaded(tmp_path: Path) -> None:
    reference = build_reference(
        numbers={}, categories={}, target_classes=None, rows={}, outputs={}, row_split="validation"
    )
    reference.save(tmp_path)
    assert_same(reference, Reference.load(tmp_path))
    assert reference.rows == reference.outputs == {}
    assert reference.reliability is None


def test_equal_input_gives_equal_bytes_whatever_its_layout(saved: Path, tmp_path: Path) -> None:
    other = arguments()
    other["rows"] = {
        "numbers": np.asfortranarray(other["rows"]["numbers"]).astype(">f4"),
        "image": np.asfortranarray(other["rows"]["image"]),
    }
    build_reference(**other).save(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()
    with zipfile.ZipFile(saved / "reference.npz") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_saving_again_replaces_what_was_there(saved: Path, tmp_path: Path) -> None:
    build_reference(**arguments(50)).save(tmp_path)
    build_reference(**arguments()).save(tmp_path)
    assert_same(Reference.load(tmp_path), Reference.load(saved))


def test_two_thousand_rows_are_drawn_by_seed_and_stay_with_their_outputs() -> None:
    index = np.arange(5_000)
    given_arrays = {"rows": {"x": index.astype(np.float32)[:, None]}, "outputs": {"y": index * 2}}
    rest: dict[str, Any] = {"numbers": {}, "categories": {}, "target_classes": None, "row_split": "test"}
    one, same, other = (build_reference(**given_arrays, **rest, seed=seed) for seed in (1, 1, 2))
    kept = one.rows["x"][:, 0]
    assert len(kept) == 2_000
    assert (np.diff(kept) > 0).all()
    assert (one.outputs["y"] == 2 * kept).all()
    assert kept.mean() == pytest.approx(2_500, rel=0.05)
    assert_same(one, same)
    assert not np.array_equal(kept, other.rows["x"][:, 0])


@pytest.mark.parametrize(("side", "expected"), [(32, 2_000), (128, 341), (4096, 0)])
def test_rows_and_outputs_together_stay_within_sixteen_mebibytes(side: int, expected: int) -> None:
    image = np.broadcast_to(np.zeros((), np.uint8), (3_000, 3, side, side))  # costs no memory
    reference = build_reference(
        numbers={},
        categories={},
        target_classes=None,
        rows={"image": image},
        outputs={"logits": np.zeros((3_000, 4), np.float32)},
        row_split="test",
    )
    arrays = (*reference.rows.values(), *reference.outputs.values())
    assert {len(array) for array in arrays} == {expected}
    assert sum(array.nbytes for array in arrays) <= MAX_ROW_BYTES


def test_kept_rows_are_copies_that_do_not_hold_the_data_alive(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((30, 2)))
    column = np.load(tmp_path / "rows.npy", mmap_mode="r")
    rest: dict[str, Any] = {"numbers": {"first": column[:, 0]}, "categories": {}, "target_classes": None}
    reference = build_reference(**rest, rows={"x": column}, outputs={}, row_split="test")
    assert type(reference.rows["x"]) is np.ndarray
    assert reference.rows["x"].base is None
    np.testing.assert_array_equal(reference.rows["x"], column)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": None}, "needed together"),
        ({"correct": None}, "needed together"),
        ({"outputs": {"y": np.zeros(299)}}, "differ in length"),
        ({"rows": {"words": np.array(["a"] * 300)}}, "row `words` must be numeric"),
        ({"outputs": {"y": np.array([None] * 300)}}, "output `y` must be numeric"),
        ({"rows": {"scalar": np.array(3.0)}}, "row `scalar` has no axis"),
        ({"target_classes": np.array([0.5])}, "counts"),
        ({"target_classes": np.array([-1])}, "counts"),
        ({"categories": {"town": (np.array([9]), 3)}}, "column `town`: code `9`"),
        ({"numbers": {"age": np.array(["a"])}}, "column `age`: a column must be numeric"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_reference(**(arguments() | change))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_an_artifact_error_that_names_it(name: str, saved: Path, tmp_path: Path) -> None:
    other = next(file for file in FILES if file != name)
    (tmp_path / other).write_bytes((saved / other).read_bytes())
    with pytest.raises(ArtifactError, match=name) as caught:
        Reference.load(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("name", FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_never_loaded_as_something_else(
    name: str, saved: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = {file: (saved / file).read_bytes() for file in FILES}
    position = data.draw(st.integers(0, len(content[name]) - 1))
    if data.draw(st.booleans()):
        damaged = content[name][:position]
    else:
        flipped = content[name][position] ^ data.draw(st.integers(1, 255))
        damaged = content[name][:position] + bytes([flipped]) + content[name][position + 1 :]
    for file in FILES:
        (tmp_path / file).write_bytes(damaged if file == name else content[file])
    try:
        loaded = Reference.load(tmp_path)
    except ArtifactError:
        return
    # White space in the JSON may change without a change of meaning.
    assert name == "reference.json"
    assert_same(loaded, Reference.load(saved))


def test_files_of_two_references_do_not_make_one(saved: Path, tmp_path: Path) -> None:
    build_reference(**arguments(50)).save(tmp_path)
    (tmp_path / "reference.npz").write_bytes((saved / "reference.npz").read_bytes())
    with pytest.raises(ArtifactError, match="differs from its digest"):
        Reference.load(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", "null", '"digest"', '{"digest": 1}', "{", "[" * 100_000, "\xff"])
def test_json_of_something_else_is_refused(text: str, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "reference.npz").write_bytes((saved / "reference.npz").read_bytes())
    (tmp_path / "reference.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ArtifactError):
        Reference.load(tmp_path)


def test_a_later_version_is_refused_and_says_so(saved: Path, tmp_path: Path) -> None:
    facts = json.loads((saved / "reference.json").read_text()) | {"version": 2}
    (tmp_path / "reference.npz").write_bytes((saved / "reference.npz").read_bytes())
    (tmp_path / "reference.json").write_text(json.dumps(facts))
    with pytest.raises(ArtifactError, match="version `2`"):
        Reference.load(tmp_path)


def test_arrays_that_are_missing_pickled_or_too_few_are_refused_even_with_a_right_digest(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mltool.statistics.reference._digest", lambda arrays_bytes, facts: facts_digest)
    facts_digest = json.loads((saved / "reference.json").read_text())["digest"]
    (tmp_path / "reference.json").write_bytes((saved / "reference.json").read_bytes())
    with np.load(saved / "reference.npz") as archive:
        arrays = dict(archive)
    pickled = np.array([{"a": 1}], dtype=object)
    for change in (
        {"number_sizes": None},
        {"number_sizes": arrays["number_sizes"][:1]},
        {"number_counts": arrays["number_counts"][:2]},
        {"row_0": None},
        {"row_0": pickled},
        {"category_counts": arrays["category_counts"][:-1]},
    ):
        buffer = io.BytesIO()
        np.savez(buffer, **{k: v for k, v in (arrays | change).items() if v is not None})
        (tmp_path / "reference.npz").write_bytes(buffer.getvalue())
        with pytest.raises(ArtifactError, match="incomplete"):
            Reference.load(tmp_path)
    for content in (b"", b"no archive", b"PK\x03\x04 no archive either"):
        (tmp_path / "reference.npz").write_bytes(content)
        with pytest.raises(ArtifactError, match="incomplete"):
            Reference.load(tmp_path)
