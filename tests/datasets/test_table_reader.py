from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_testing import FLOWERS, everything, kinds, rows_of, table, write

from mltool.core.errors import ConfigError, DataError
from mltool.datasets.config import DataConfig
from mltool.datasets.readers.table import read
from mltool.datasets.records_file import read_records


def test_numbers_categories_and_classes_are_told_apart(folder: Path) -> None:
    schema, inputs, target = everything(table(folder, FLOWERS))
    assert [(column.name, column.kind, column.vocabulary) for column in schema.columns] == [
        ("length", "number", ()),
        ("colour", "category", ("blue", "red")),
    ]
    assert [spec.name for spec in schema.inputs] == ["numbers", "categories"]
    assert schema.target.classes == ("rose", "violet")
    np.testing.assert_array_equal(inputs["numbers"][:, 0], [1.5, 2, np.nan, 4, 5, 6])
    assert inputs["categories"][:, 0].tolist() == [2, 1, 2, 0, 1, 2]
    assert (target.dtype, target.tolist()) == (np.int64, [0, 1, 0, 1, 0, 1])


def test_batches_hold_the_rows_that_were_asked_for_in_their_order(folder: Path) -> None:
    source = table(folder, FLOWERS)
    schema = source.schema(np.arange(6))
    ((inputs, target),) = source.batches(np.array([5, 0]), schema)
    assert inputs["numbers"][:, 0].tolist() == [6, 1.5]
    assert target.tolist() == [1, 0]
    assert list(source.batches(np.array([], np.int64), schema)) == []


def test_many_rows_come_in_several_batches(folder: Path) -> None:
    text = "a,y\n" + "".join(f"{row},{row % 3}\n" for row in range(70_000))
    source = table(folder, text)
    sizes = [len(target) for _, target in source.batches(np.arange(70_000), source.schema(np.arange(9)))]
    assert sizes == [65_536, 4_464]
    assert source.estimated_bytes() == 70_000 * (4 + 8)


@pytest.mark.parametrize("missing", ["", "NA", "N/A", "NaN", "null", "None", "?", '"NA"', " NA "])
def test_a_missing_cell_is_missing_in_numbers_and_categories(folder: Path, missing: str) -> None:
    text = "a,b,y\n" + rows_of("1,p,u", "2,q,v", "3,p,u", "4,q,v") + f"{missing},{missing},u\n"
    _, inputs, _ = everything(table(folder, text))
    assert np.isnan(inputs["numbers"][4, 0])
    assert inputs["categories"][4, 0] == 0


def test_a_word_among_numbers_damages_its_row(folder: Path) -> None:
    text = "a,y\n" + rows_of("1,u", "2,v", times=15) + "abc,u\n3,v\n"
    source = table(folder, text)
    assert source.damage.found == [("data.csv:32", "`a` is `abc`, not a number")]
    assert (source.damage.num_seen, source.num_rows) == (32, 31)
    assert kinds(source) == {"a": "number"}


def test_below_95_percent_numbers_a_column_is_a_category(folder: Path) -> None:
    source = table(folder, "a,y\n" + rows_of("1,u", "2,v", times=9) + "abc,u\n")
    assert kinds(source) == {"a": "category"}
    assert not source.damage.found
    source = table(folder, "a,y\n" + rows_of("1,u", "2,v", times=9) + "abc,u\n3,u\n")
    assert kinds(source) == {"a": "number"}
    assert len(source.damage.found) == 1


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e400", "1e39"])
def test_an_infinite_number_damages_its_row(folder: Path, cell: str) -> None:
    source = table(folder, "a,y\n" + rows_of("1,u", "2,v", times=3) + f"{cell},u\n")
    assert [where for where, _ in source.damage.found] == ["data.csv:8"]
    assert "infinite" in source.damage.found[0][1]


def test_a_number_column_named_in_categories_is_a_category(folder: Path) -> None:
    text = "code,y\n" + rows_of("10,u", "2.0,v", "2,u", "01,v", "?,u")
    schema, inputs, _ = everything(table(folder, text, categories=("code",)))
    assert schema.columns[0].vocabulary == ("01", "10", "2")
    assert inputs["categories"][:, 0].tolist() == [2, 3, 3, 1, 0]
    pq.write_table(pa.table({"code": [10, 2, None, 7], "y": list("uvuv")}), folder / "t.parquet")
    schema, _, _ = everything(read(DataConfig(categories=("code",)), folder / "t.parquet"))
    assert schema.columns[0].vocabulary == ("10", "2", "7")


def test_columns_that_cannot_help_are_left_out_with_a_note(folder: Path) -> None:
    text = "id,a,empty,same,y,\n" + "".join(f"u{row},{row * row},,7,{'pq'[row % 2]},{row}\n" for row in range(10))
    source = table(folder, text, label="y")
    assert kinds(source) == {"a": "number"}
    notes = " ".join(source.notes)
    assert "`id`: 10 different texts in 10 rows" in notes
    assert "`empty`: without any value" in notes
    assert "`same`: the same value in every row" in notes
    assert "1 columns of `data.csv` without a name" in notes
    assert set(source.left_out) == {"id", "empty", "same"}


def test_a_column_with_over_a_thousand_texts_is_left_out_unless_asked_for(folder: Path) -> None:
    text = "a,word,y\n" + "".join(f"{row},w{row % 1001},{'pq'[row % 2]}\n" for row in range(3003))
    assert kinds(table(folder, text)) == {"a": "number"}
    assert kinds(table(folder, text, categories=("word",))) == {"a": "number", "word": "category"}


def test_a_column_that_counts_the_rows_is_pointed_out(folder: Path) -> None:
    source = table(folder, "row,y\n" + "".join(f"{row},{'pq'[row % 2]}\n" for row in range(30)))
    assert any("`row` counts the rows" in note for note in source.notes)


@pytest.mark.parametrize(
    ("header", "label"),
    [
        ("a,label,b,y", "label"),
        ("y,a,b,c", "y"),
        ("a,Class,b,c", "Class"),
        ("a,b,c,d", "d"),
        ("target,y,class,d", "target"),
    ],
)
def test_the_label_is_found_by_its_name_or_is_the_last_column(folder: Path, header: str, label: str) -> None:
    source = table(folder, f"{header}\n1,2,3,4\n5,6,7,8\n")
    assert source.target.name == label
    assert any(f"`{label}` is the label" in note for note in source.notes)


def test_an_ignored_column_is_not_the_label(folder: Path) -> None:
    source = table(folder, "a,b,label\n1,2,3\n4,5,6\n", ignore=("label",))
    assert source.target.name == "b"
    assert source.left_out == ("label",)


@pytest.mark.parametrize("knobs", [{"label": "lenght"}, {"ignore": ("lenght",)}, {"categories": ("lenght",)}])
def test_a_column_that_is_not_there_is_refused_with_the_nearest_name(folder: Path, knobs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="`lenght`") as caught:
        table(folder, FLOWERS, **knobs)
    assert caught.value.hint == "did you mean `length`?"


def test_a_label_that_is_ignored_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="both"):
        table(folder, FLOWERS, label="species", ignore=("species",))


def label_of(folder: Path, cells: list[str]) -> Any:
    text = "a,y\n" + "".join(f"{row * 1.5},{cell}\n" for row, cell in enumerate(cells))
    return everything(table(folder, text))[0].target


def test_whole_numbers_with_few_values_are_classes_in_the_order_of_their_values(folder: Path) -> None:
    assert label_of(folder, ["10", "9", "2", "-1"]).classes == ("-1", "2", "9", "10")
    assert label_of(folder, ["1.0", "0.0", "1"]).classes == ("0", "1")
    assert label_of(folder, [str(value) for value in range(20)]).kind == "class"


def test_fractions_and_many_whole_numbers_are_predicted_as_a_number(folder: Path) -> None:
    assert label_of(folder, ["1.5", "2", "2"]).kind == "number"
    assert label_of(folder, [str(value) for value in range(21)]).kind == "number"


def test_true_and_false_are_classes(folder: Path) -> None:
    assert label_of(folder, ["True", "False", "True", "False"]).classes == ("False", "True")
    text = "".join(json.dumps({"a": row, "y": row % 2 == 0, "b": row % 3 == 0}) + "\n" for row in range(12))
    schema, _, target = everything(table(folder, text, "t.jsonl", label="y"))
    assert schema.target.classes == ("false", "true")
    assert target.tolist() == [1, 0] * 6
    assert schema.columns[1].vocabulary == ("false", "true")


def test_a_number_target_is_float32(folder: Path) -> None:
    source = table(folder, "a,y\n1,0.5\n2,1.5\n3,\n")
    _, _, target = everything(source)
    assert (target.dtype, target.tolist()) == (np.float32, [0.5, 1.5])
    assert source.stratify_N is None
    assert source.damage.found == [("data.csv:4", "the label `y` is missing")]


def test_class_targets_are_stratified_by_their_codes(folder: Path) -> None:
    source = table(folder, FLOWERS)
    assert source.stratify_N is not None
    assert source.stratify_N.tolist() == everything(source)[2].tolist()


def test_free_text_is_no_label(folder: Path) -> None:
    with pytest.raises(DataError, match="30 different texts in 30 rows"):
        table(folder, "a,y\n" + "".join(f"{row},text {row}\n" for row in range(30)))


def test_vocabularies_are_fitted_on_training_rows_and_classes_on_all(folder: Path) -> None:
    text = "c,y\n" + rows_of("p,u", "q,v", "p,u", "q,v", "r,w", "r,u")
    source = table(folder, text)
    schema = source.schema(np.arange(4))
    assert schema.columns[0].vocabulary == ("p", "q")
    assert schema.target.classes == ("u", "v", "w")
    ((inputs, target),) = source.batches(np.arange(6), schema)
    assert inputs["categories"][:, 0].tolist() == [1, 2, 1, 2, 0, 0]
    assert target.tolist() == [0, 1, 0, 1, 2, 0]


def test_one_class_only_is_refused(folder: Path) -> None:
    source = table(folder, "a,y\n1,u\n2,u\n")
    with pytest.raises(DataError, match="only the class `u`"):
        source.schema(np.arange(2))


def test_a_table_without_columns_to_learn_from_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="no column is left"):
        table(folder, "y\nu\nv\n").schema(np.arange(2))
    with pytest.raises(DataError, match="no rows"):
        table(folder, FLOWERS).schema(np.arange(0))


def test_a_second_file_is_the_test_split(folder: Path) -> None:
    test = write(folder, "species,colour,length\n" + "rose,red,9\nviolet,blue,x\nviolet,green,8\n" * 10, "test.csv")
    header, *lines = FLOWERS.splitlines()
    source = table(folder, "\n".join([header, *lines * 100]), test=str(test))
    assert source.splits["train"].tolist() == list(range(600))
    assert source.splits["test"].tolist() == list(range(600, 620))
    assert [where for where, _ in source.damage.found] == [f"test.csv:{line}" for line in range(3, 33, 3)]
    ((inputs, target),) = source.batches(source.splits["test"][:2], source.schema(source.splits["train"]))
    assert inputs["numbers"][:, 0].tolist() == [9, 8]
    assert inputs["categories"][:, 0].tolist() == [2, 0]
    assert target.tolist() == [0, 1]


def test_a_second_file_with_other_columns_is_refused(folder: Path) -> None:
    test = write(folder, "length,hue,species\n1,red,rose\n", "test.csv")
    with pytest.raises(DataError, match="different columns: `colour`, `hue`"):
        table(folder, FLOWERS, test=str(test))


def test_a_second_file_of_another_form_is_joined(folder: Path) -> None:
    test = write(folder, '{"length": 9, "colour": "red", "species": "rose"}\n', "test.jsonl")
    source = table(folder, FLOWERS, test=str(test))
    ((inputs, _),) = source.batches(source.splits["test"], source.schema(source.splits["train"]))
    assert inputs["numbers"].tolist() == [[9]]


def test_the_fingerprint_follows_the_bytes_of_both_files(folder: Path) -> None:
    test = write(folder, FLOWERS, "test.csv")
    prints = {table(folder, FLOWERS).fingerprint, table(folder, FLOWERS + "7,red,rose\n").fingerprint}
    prints.add(table(folder, FLOWERS, test=str(test)).fingerprint)
    write(folder, FLOWERS + "7,red,rose\n", "test.csv")
    prints.add(table(folder, FLOWERS, test=str(test)).fingerprint)
    assert len(prints) == 4
    assert table(folder, FLOWERS).fingerprint == table(folder, FLOWERS).fingerprint


def test_the_file_trained_on_can_be_predicted(folder: Path) -> None:
    text = "id,length,colour,same,species,\n" + "".join(
        f"u{row},{row * 1.5},{['red', 'blue', 'NA'][row % 3]},7,{'pq'[row % 2]},{row}\n" for row in range(12)
    )
    schema, expected, _ = everything(table(folder, text, label="species"))
    inputs = read_records(str(folder / "data.csv"), schema)
    assert inputs.num_rows == 12
    for name, array in expected.items():
        np.testing.assert_array_equal(inputs.arrays[name], array)


def test_a_column_that_names_the_splits_is_followed(folder: Path) -> None:
    text = "a,split,y\n" + "".join(
        f"{i},{('train', 'Train', 'val', 'test')[i % 4]},{'pq'[i // 4 % 2]}\n" for i in range(40)
    )
    source = table(folder, text, label="y")
    assert {name: len(rows) for name, rows in source.splits.items()} == {"train": 20, "validation": 10, "test": 10}
    assert source.splits["validation"].tolist() == list(range(2, 40, 4))
    assert list(kinds(source)) == ["a"]
    assert "the splits are those of the column `split`: test 10, train 20, validation 10" in source.notes


@pytest.mark.parametrize("values", [("left", "right"), ("train", "other"), ("val", "test")])
def test_a_column_split_that_means_something_else_is_a_column(values: tuple[str, str], folder: Path) -> None:
    text = "a,split,y\n" + "".join(f"{i},{values[i % 2]},{'pq'[i // 2 % 2]}\n" for i in range(40))
    source = table(folder, text, label="y")
    assert source.splits == {}
    assert kinds(source) == {"a": "number", "split": "category"}


@pytest.mark.parametrize(
    ("cell", "likely"),
    [
        ('"{i},5"', "its texts look like numbers with decimal commas"),
        ("{i}.5 %", "its texts look like percentages"),
        ("2024-01-{i:02d}", "its texts look like dates"),
        ("id-{i}", "40 different texts in 40 rows"),
    ],
)
def test_texts_that_are_left_out_name_the_likely_cause(cell: str, likely: str, folder: Path) -> None:
    text = "a,odd,y\n" + "".join(f"{i % 7},{cell.format(i=i)},{'pq'[i % 2]}\n" for i in range(1, 41))
    notes = table(folder, text, label="y").notes
    assert [note for note in notes if note.startswith(f"left out `odd`: {likely}")], notes


def test_large_identifiers_stay_different_as_categories(folder: Path) -> None:
    users = [str(2**60 + i // 2) for i in range(40)]
    text = "user,y\n" + "".join(f"{user},{'pq'[i % 3 % 2]}\n" for i, user in enumerate(users))
    import pyarrow.csv
    import pyarrow.parquet

    (folder / "t.csv").write_text(text)
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(folder / "t.csv"), folder / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        source = read(DataConfig(label="y", categories=("user",)), folder / name)
        assert set(everything(source)[0].columns[0].vocabulary) == set(users)
