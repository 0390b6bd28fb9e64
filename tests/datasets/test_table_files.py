from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_testing import FLOWERS, everything, kinds, table

from mltool.core.errors import DataError, MltoolError
from mltool.datasets.config import DataConfig
from mltool.datasets.encoder import Encoder
from mltool.datasets.readers.table import read
from mltool.datasets.readers.table_files import TABLE_SUFFIXES


@pytest.mark.parametrize("form", ["csv", "csv.gz", "tsv", "parquet", "jsonl", "ndjson", "semicolons", "crlf", "bom"])
def test_every_form_of_one_table_gives_the_same_arrays(folder: Path, form: str) -> None:
    lines = FLOWERS.splitlines()
    records = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    typed = [
        {"length": float(r["length"]) if r["length"] else None, "colour": r["colour"] or None, "species": r["species"]}
        for r in records
    ]
    parquet = folder / "flowers.parquet"
    pq.write_table(pa.Table.from_pylist(typed), parquet)
    contents = {
        "csv": FLOWERS.encode(),
        "csv.gz": gzip.compress(FLOWERS.encode()),
        "tsv": FLOWERS.replace(",", "\t").encode(),
        "parquet": parquet.read_bytes(),
        "jsonl": "\n".join(json.dumps(record) for record in typed).encode(),
        "ndjson": "\n\n".join(json.dumps(record) for record in typed).encode(),
        "semicolons": FLOWERS.replace(",", ";").encode(),
        "crlf": FLOWERS.replace("\n", "\r\n").encode(),
        "bom": b"\xef\xbb\xbf" + FLOWERS.encode(),
    }
    ending = form if "." in form or form in ("tsv", "parquet", "jsonl", "ndjson") else "csv"
    expected_schema, expected_inputs, expected_target = everything(table(folder, FLOWERS))
    source = table(folder, contents[form], f"flowers.{ending}")
    schema, inputs, target = everything(source)
    assert schema.columns == expected_schema.columns
    assert schema.target == expected_schema.target
    for name, expected in expected_inputs.items():
        np.testing.assert_array_equal(inputs[name], expected)
    np.testing.assert_array_equal(target, expected_target)
    assert any("`;`" in note for note in source.notes) == (form == "semicolons")


def test_rows_with_too_many_or_too_few_cells_are_damaged_and_named_by_line(folder: Path) -> None:
    text = 'a,b,y\n1,"x\ny",u\n2\n\n3,x,v,9\n4,"x\ny",v\n5,x\n6,x,\n'
    source = table(folder, text)
    assert source.damage.found == [
        ("data.csv:4", "1 cells, but the header has 3"),
        ("data.csv:6", "4 cells, but the header has 3"),
        ("data.csv:9", "2 cells, but the header has 3"),
        ("data.csv:10", "the label `y` is missing"),
    ]
    assert (source.num_rows, source.damage.num_seen) == (2, 6)


def test_blank_lines_are_no_rows(folder: Path) -> None:
    source = table(folder, "\n\na,y\n\n1,u\n\n\n2,v\n,\n\n")
    assert (source.num_rows, source.damage.found) == (2, [])


def test_too_much_damage_is_refused_by_the_caller(folder: Path) -> None:
    source = table(folder, "a,y\n1,u\n2,v\n3\n")
    with pytest.raises(DataError, match=r"1 of 3 rows are damaged.*`data.csv:4`"):
        source.damage.enforce(0.01)


def test_rows_that_are_all_damaged_are_an_error_that_says_why(folder: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 2 rows are damaged.*`data.csv:2`: 3 cells"):
        table(folder, "a,y\n1,2,3\n4,5,6\n")


def test_a_quote_that_is_never_closed_is_not_a_cell_of_many_rows(folder: Path) -> None:
    with pytest.raises(DataError, match=r"opened on line 3 of .* never closed"):
        table(folder, 'a,y\n1,u\n2,"v\n3,u\n4,v\n')


@pytest.mark.parametrize(
    ("content", "name", "why"),
    [
        (b"", "a.csv", "is empty"),
        (b"\n \n", "a.csv", "is empty"),
        (b"\xef\xbb\xbf\n", "a.csv", "is empty"),
        (b"\x1c\n\x1c", "a.csv", "no line with the names"),
        (b"a,y\n", "a.csv", "has no rows"),
        (b"a,y", "a.csv", "has no rows"),
        (b"a,b,a,y\n1,2,3,4\n", "a.csv", "more than one column named `a`"),
        (bytes(range(256)) * 10, "a.csv", "zero byte"),
        ("a,y\n1,ü\n".encode("utf-16"), "a.csv", "UTF-16"),
        ("a,y\n1,u\n2,ü\n".encode("latin-1"), "a.csv", "line 3 .* not UTF-8"),
        (b"5.1,3.5,1.4,rose\n4.9,3,1.4,rose\n", "a.csv", "values such as `5.1`"),
        (b'a,"y\n1,2\n', "a.csv", "header|quote"),
        (b"not gzip", "a.csv.gz", "not a whole gzip"),
        (gzip.compress(FLOWERS.encode() * 99)[:-30], "a.csv.gz", "not a whole gzip"),
        (b"PAR1 garbage", "a.parquet", "not a whole Parquet"),
        (b"[1, 2]\n3\n{\n", "a.jsonl", "3 of 3 rows are damaged.*a.jsonl:1"),
        (b"{}\n{}\n", "a.jsonl", "no columns|no rows"),
        (b"a", "a.txt", "not a table"),
        (b"a", "a", "not a table"),
    ],
)
def test_a_file_that_is_no_table_is_refused(folder: Path, content: bytes, name: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        table(folder, content, name)


def test_a_missing_file_and_a_folder_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read(DataConfig(), folder / "none.csv")
    (folder / "dir.csv").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        read(DataConfig(), folder / "dir.csv")
    with pytest.raises(DataError, match=r"none.csv` does not exist"):
        table(folder, FLOWERS, test=str(folder / "none.csv"))


def test_damaged_json_lines_are_named_by_line(folder: Path) -> None:
    lines = ['{"a": 1, "y": "u"}', '{"a": 2, "y": "v"}'] * 20
    lines[3:3] = ["", "{broken", '{"a": [1], "y": "u"}', '{"a": 1e999, "y": "u"}', '{"a": 1}']
    source = table(folder, "\n".join(lines), "t.jsonl", label="y")
    assert [where for where, _ in source.damage.found] == [f"t.jsonl:{line}" for line in (5, 6, 7, 8)]
    assert kinds(source) == {"a": "number"}


def test_json_fields_that_come_late_are_missing_before(folder: Path) -> None:
    lines = ['{"y": "u"}', '{"y": "v", "a": 2}', '{"a": 3, "y": "u"}']
    _, inputs, _ = everything(table(folder, "\n".join(lines), "t.jsonl", label="y"))
    np.testing.assert_array_equal(inputs["numbers"][:, 0], [np.nan, 2, 3])


def test_typed_columns_of_parquet_keep_their_meaning(folder: Path) -> None:
    columns = pa.table(
        {
            "half": pa.array(np.array([1, 2, 3, 4], np.float16)),
            "whole": pa.array([1, 2, None, 4], pa.uint8()),
            "exact": pa.array([1, 2, 3, 5], pa.decimal128(5, 2)),
            "kind": pa.array(["p", "q", "p", "q"]).dictionary_encode(),
            "code": pa.array(["01", "1", "01", "1"]),
            "flag": pa.array([True, False, None, True]),
            "when": pa.array([1, 2, 3, 4], pa.timestamp("s")),
            "list": pa.array([[1], [2], [3], [4]]),
            "none": pa.nulls(4),
            "__index_level_0__": pa.array([9, 8, 7, 6]),
            "label": pa.array([0, 1, 0, 1]),
        }
    )
    pq.write_table(columns, folder / "t.parquet")
    source = read(DataConfig(), folder / "t.parquet")
    assert kinds(source) == {
        "half": "number",
        "whole": "number",
        "exact": "number",
        "kind": "category",
        "code": "category",
        "flag": "category",
    }
    schema, inputs, _ = everything(source)
    assert schema.columns_of("category")[1].vocabulary == ("01", "1")
    assert inputs["categories"][:, 2].tolist() == [2, 1, 0, 2]
    assert any("`when`" in note and "timestamp" in note for note in source.notes)
    with pytest.raises(DataError, match="the label `when` holds values of the type timestamp"):
        read(DataConfig(label="when"), folder / "t.parquet")


def test_infinite_numbers_in_parquet_are_damaged_rows(folder: Path) -> None:
    pq.write_table(pa.table({"a": [1.0, float("inf"), 3.0], "y": list("uvu")}), folder / "t.parquet")
    source = read(DataConfig(), folder / "t.parquet")
    assert source.damage.found == [("t.parquet:2", "`a` is inf, which is infinite or too large")]


PIECES = st.sampled_from(
    ["1", "2.5", "abc", ",", ",", "\n", "\n", '"', "\r\n", " ", ";", "NA", "inf", "é", "\ufeff", "\\"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["a,b,y\n", "a,b,y\n", "", '{"a": 1, "y": "u"}\n{"a": 2, "y": "v"}\n']),
    st.lists(PIECES, max_size=40).map("".join),
    st.sampled_from(["t.csv", "t.tsv", "t.jsonl"]),
)
def test_any_text_is_read_or_refused_with_a_reason(folder: Path, header: str, text: str, name: str) -> None:
    try:
        source = table(folder, header + text, name)
        schema, inputs, target = everything(source)
    except MltoolError:
        return
    assert all(len(array) == len(target) == source.num_rows for array in inputs.values())
    assert source.num_rows + len(source.damage.found) == source.damage.num_seen
    records = [{} for _ in target]
    assert Encoder(schema).encode(records).keys() == inputs.keys()


CELLS = st.one_of(
    st.integers(-99, 99), st.floats(-1e6, 1e6, width=32), st.sampled_from(["p", "q", "r s", 'q"t', "u\nv"])
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, CELLS, st.sampled_from("uv")), min_size=1, max_size=8), st.data())
def test_a_damaged_row_is_named_by_the_line_it_begins_on(folder: Path, rows: list[Any], data: st.DataObject) -> None:
    def written(cell: Any) -> str:
        return '"' + str(cell).replace('"', '""') + '"'

    place = data.draw(st.integers(0, len(rows)))
    lines = [",".join(map(written, row)) for row in rows]
    lines[place:place] = ["lonely"]
    line = 2 + sum(1 + before.count("\n") for before in lines[:place])
    source = table(folder, "a,b,y\n" + "\n".join(lines) + "\n")
    assert (f"data.csv:{line}", "1 cells, but the header has 3") in source.damage.found


def test_every_table_suffix_can_be_read(folder: Path) -> None:
    text = {".csv": "a,y\n1,x\n2,z\n", ".tsv": "a\ty\n1\tx\n2\tz\n"}
    lines = '{"a": 1, "y": "x"}\n{"a": 2, "y": "z"}\n'
    for suffix in TABLE_SUFFIXES:
        if suffix == ".parquet":
            pq.write_table(pa.table({"a": [1, 2], "y": ["x", "z"]}), folder / "data.parquet")
            assert read(DataConfig(), folder / "data.parquet").num_rows == 2
            continue
        content = text.get(suffix.removesuffix(".gz"), lines).encode()
        content = gzip.compress(content) if suffix.endswith(".gz") else content
        assert table(folder, content, f"data{suffix}").num_rows == 2


def test_the_same_bytes_under_another_ending_are_another_source(folder: Path) -> None:
    text = "a\ty\n1\tx\n2\tz\n"
    assert table(folder, text, "data.csv").fingerprint != table(folder, text, "data.tsv").fingerprint
