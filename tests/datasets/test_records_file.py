from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mltool.core import events
from mltool.core.errors import DataError, InputError, MltoolError
from mltool.datasets.records_file import Inputs, read_records
from mltool.datasets.schema import Column, ImageSpec, Schema, Target, TensorSpec

TABLE = Schema(
    columns=(Column("age", "number"), Column("city", "category", ("oslo", "rome"))),
    inputs=(TensorSpec("numbers", "float32", (1,)), TensorSpec("categories", "int64", (1,))),
    target=Target("species", "class", ("cat", "dog")),
)
VECTOR = Schema((Column("x", "tensor"),), (TensorSpec("x", "float32", (3,)),), Target("y", "number"))
PICTURE = Schema(
    columns=(Column("image", "image"),),
    inputs=(TensorSpec("image", "uint8", (1, 2, 2)),),
    target=Target("label", "class", ("a", "b")),
    image=ImageSpec(1, 2, 2),
)
RECORDS = [{"age": 1, "city": "rome"}, {"age": 2.5, "city": "oslo"}]


def write(folder: Path, content: bytes | str, name: str) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def picture(form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.array([[0, 50], [100, 200]], np.uint8)).save(stream, form)
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def check_records(inputs: Inputs) -> None:
    assert inputs.num_rows == 2
    assert inputs.arrays["numbers"].tolist() == [[1.0], [2.5]]
    assert inputs.arrays["categories"].tolist() == [[2], [1]]


FORMS = {
    "a.json": json.dumps(RECORDS),
    "b.json": json.dumps({"records": RECORDS}),
    "c.json": json.dumps({"instances": RECORDS}, indent=2),
    "bom.json": "\ufeff" + json.dumps(RECORDS),
    "d.jsonl": "\n\n".join(map(json.dumps, RECORDS)),
    "e.ndjson": "\r\n".join(map(json.dumps, RECORDS)) + "\r\n",
    "f.csv": "age,city\n1,rome\n2.5,oslo\n",
    "g.csv": "\ufeffcity;age\r\n\r\nrome;1\r\noslo;2.5",
    "h.tsv": "age\tcity\n1\trome\n2.5\toslo\n",
    "i.csv": ",age,species,city\n0,1,cat,rome\n1,2.5,?,oslo\n",
    "j.npz": npz(numbers=[[1.0], [2.5]], categories=[[2], [1]], species=[0, 0]),
    "k.CSV": '"age","city"\n"1","rome"\n2.5," oslo "\n',
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_the_same_records_gives_the_same_arrays(tmp_path: Path, name: str) -> None:
    check_records(read_records(write(tmp_path, FORMS[name], name), TABLE))


@pytest.mark.parametrize("name", FORMS)
def test_the_form_of_standard_input_is_guessed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = FORMS[name]
    give(monkeypatch, content.encode() if isinstance(content, str) else content)
    check_records(read_records("-", TABLE))


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_one_object_is_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(RECORDS[0])
    assert read_records(write(tmp_path, text, "a.json"), TABLE).arrays["numbers"].tolist() == [[1.0]]
    give(monkeypatch, text.encode())
    assert read_records("-", TABLE).num_rows == 1


def test_a_field_named_like_a_wrapper_stays_a_field(tmp_path: Path) -> None:
    schema = Schema((Column("records", "tensor"),), (TensorSpec("records", "float32", (2,)),), Target("y", "number"))
    inputs = read_records(write(tmp_path, '{"records": [1, 2]}', "a.json"), schema)
    assert inputs.arrays["records"].tolist() == [[1, 2]]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_a_picture_is_one_record(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture(form)
    inputs = read_records(write(tmp_path, data, f"a.{form.lower()}"), PICTURE)
    assert (inputs.num_rows, inputs.arrays["image"].shape) == (1, (1, 1, 2, 2))
    if form != "PPM":
        give(monkeypatch, data)
        np.testing.assert_array_equal(read_records("-", PICTURE).arrays["image"], inputs.arrays["image"])


def test_pictures_may_stand_in_json_as_base64(tmp_path: Path) -> None:
    records = [{"image": base64.b64encode(picture("PNG")).decode()}, {"image": [[0, 50], [100, 200]]}]
    images = read_records(write(tmp_path, json.dumps(records), "a.json"), PICTURE).arrays["image"]
    np.testing.assert_array_equal(images[0], images[1])


def test_an_array_is_the_single_input_with_or_without_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = read_records(write(tmp_path, npy([[1.0, 2, 3], [4, 5, 6]]), "a.npy"), VECTOR)
    assert (many.num_rows, many.arrays["x"].dtype) == (2, np.float32)
    one = read_records(write(tmp_path, npy([1, 2, 3]), "b.npy"), VECTOR)
    assert one.arrays["x"].tolist() == [[1, 2, 3]]
    give(monkeypatch, npy([1, 2, 3]))
    assert read_records("-", VECTOR).num_rows == 1
    named = read_records(write(tmp_path, npz(x=[1, 2, 3]), "c.npz"), VECTOR)
    assert named.num_rows == 1


HUGE = io.BytesIO()
np.lib.format.write_array_header_1_0(HUGE, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)})

BAD = [
    ("", "a.json", TABLE, DataError, "is empty"),
    (" \n", "a.csv", TABLE, DataError, "is empty"),
    ("\ufeff\n", "a.csv", TABLE, DataError, "is empty"),
    ("\x1c", "a.csv", TABLE, DataError, "holds no rows"),
    ("[]", "a.json", TABLE, DataError, "holds no rows"),
    ('{"records": []}', "a.json", TABLE, DataError, "holds no rows"),
    ("age,city\n", "a.csv", TABLE, DataError, "holds no rows"),
    ("x", "a.docx", TABLE, DataError, "kind that cannot be predicted"),
    ("x", "a", TABLE, DataError, "kind that cannot be predicted"),
    ("3", "a.json", TABLE, DataError, "neither an object"),
    ('[{"age": 1},\n {"age": ]', "a.json", TABLE, DataError, "line 2 of .*a.json` is not JSON"),
    ("[" * 100_000, "a.json", TABLE, DataError, "not JSON that can be read"),
    (f'{{"age": {"9" * 5000}}}', "a.json", TABLE, DataError, "not JSON that can be read"),
    ('{"age": 1}\n{"age": ', "a.jsonl", TABLE, DataError, "line 2 of .*a.jsonl` cannot be read"),
    ("[" * 100_000, "a.jsonl", TABLE, DataError, "line 1"),
    ('{"age": 1}\n[1]', "a.jsonl", TABLE, DataError, "line 2 .* not an object"),
    ("[[1, 2]]", "a.json", TABLE, InputError, r"record 1 of .*a.json`: `\[1, 2\]` is not an object"),
    ('[{"age": 1}, {"age": "x"}]', "a.json", TABLE, InputError, "record 2 of .*a.json`: `age` is `x`"),
    ('\n{"age": 1}\n\n{"age": "x"}', "a.jsonl", TABLE, InputError, "line 4 of .*a.jsonl`: `age` is `x`"),
    ('city,age\n"a\nb",1\noslo,x\n', "a.csv", TABLE, InputError, "line 4 of .*a.csv`: `age` is `x`"),
    ("age,cty\n1,x\n", "a.csv", TABLE, InputError, "a.csv`: unknown field `cty`"),
    ("age,age\n1,2\n", "a.csv", TABLE, DataError, "more than one column named `age`"),
    ("age,city\n1\n", "a.csv", TABLE, DataError, "line 2 of .* has 1 cells, but the header has 2"),
    ("age,city\n\n1,2,3\n", "a.csv", TABLE, DataError, "line 3 of .* has 3 cells"),
    ('age,city\n1,"oslo\n', "a.csv", TABLE, DataError, "line 2 of .* is not CSV"),
    (f"age,city\n1,{'x' * 200_000}\n", "a.csv", TABLE, DataError, "line 2 of .* field larger"),
    (b"age,city\n1,\xff\n", "a.csv", TABLE, DataError, "line 2 of .* not UTF-8"),
    (b"age,city\n1,\xff\n", "a.json", TABLE, DataError, "line 2 of .* not UTF-8"),
    ("\n,\n1,2\n", "a.csv", TABLE, DataError, "no header"),
    (picture("PNG"), "a.png", TABLE, InputError, "is a picture, but the model takes `age`, `city`"),
    (picture("PNG")[:40], "a.png", PICTURE, InputError, "a.png`: the picture in `image` cannot be read"),
    (b"no picture", "a.jpg", PICTURE, InputError, "cannot be read"),
    (npy([[1.0, 2]]), "a.npy", VECTOR, InputError, r"a.npy`: `x` has the shape \[1, 2\], but \[N, 3\]"),
    (npy(1.0), "a.npy", VECTOR, InputError, r"shape \[\]"),
    (npy(np.zeros((0, 3))), "a.npy", VECTOR, DataError, "holds no rows"),
    (npy([["a", "b", "c"]]), "a.npy", VECTOR, InputError, "float32 is needed"),
    (npy(np.array([{}], object)), "a.npy", VECTOR, DataError, "not a whole .npy"),
    (npy([[1.0, 2, 3]])[:-4], "a.npy", VECTOR, DataError, "not a whole .npy"),
    (HUGE.getvalue(), "a.npy", VECTOR, DataError, "not a whole .npy"),
    (b"\x93NUMPY", "a.npy", VECTOR, DataError, "not a whole .npy"),
    (npy([[1.0]]), "a.npy", TABLE, InputError, "takes `numbers`, `categories`"),
    (npz(x=[1.0, 2, 3])[:-30], "a.npz", VECTOR, DataError, "not a whole .npz"),
    (npz(z=[1.0, 2, 3]), "a.npz", VECTOR, InputError, "unknown array `z`"),
    (npz(numbers=[[1.0]]), "a.npz", TABLE, InputError, "no array `categories`"),
    (npz(numbers=[[1.0]], categories=[[3]]), "a.npz", TABLE, InputError, "codes of `city` must be from 0 to 2"),
    (npz(numbers=[[1.0]], categories=[[-1]]), "a.npz", TABLE, InputError, "codes of `city`"),
    (npz(numbers=[[np.inf]], categories=[[1]]), "a.npz", TABLE, InputError, "infinite"),
    (npz(numbers=[[1.0], [2]], categories=[[1]]), "a.npz", TABLE, InputError, "differ in their number of rows"),
]


@pytest.mark.parametrize(
    ("content", "name", "schema", "kind", "why"), BAD, ids=[f"{row}-{case[1]}" for row, case in enumerate(BAD)]
)
def test_what_cannot_be_read_is_refused_with_the_file_and_the_place(
    tmp_path: Path, content: bytes | str, name: str, schema: Schema, kind: type[MltoolError], why: str
) -> None:
    with pytest.raises(kind, match=why) as caught:
        read_records(write(tmp_path, content, name), schema)
    assert str(tmp_path / name) in caught.value.message
    assert len(caught.value.message) < 500


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_records(str(tmp_path / "none.csv"), TABLE)
    with pytest.raises(DataError, match="is a folder"):
        read_records(str(tmp_path), TABLE)
    with pytest.raises(DataError, match="cannot be read"):
        read_records("a\0b.csv", TABLE)


def test_empty_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b"")
    with pytest.raises(DataError, match="standard input is empty"):
        read_records("-", TABLE)


def test_fields_that_no_record_has_are_pointed_out(tmp_path: Path) -> None:
    said: list[events.Event] = []
    with events.subscribed(said.append):
        inputs = read_records(write(tmp_path, "age\n1\n", "a.csv"), TABLE)
    assert inputs.arrays["categories"].tolist() == [[0]]
    (message,) = said
    assert isinstance(message, events.Message)
    assert "has no field `city`" in message.text


def test_an_empty_row_is_still_answered(tmp_path: Path) -> None:
    assert read_records(write(tmp_path, "age,city\n1,rome\n,\n", "a.csv"), TABLE).num_rows == 2


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.binary(max_size=60), st.text('ab1,;"\n\r{}[]: \ufeff٣', max_size=60).map(str.encode)),
    st.sampled_from(["", '{"age": 1', "age,city\n", "[", "\x93NUMPY", "PK\x03\x04"]),
    st.sampled_from([TABLE, VECTOR, PICTURE]),
)
def test_any_bytes_are_read_or_refused_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, data: bytes, start: str, schema: Schema
) -> None:
    give(monkeypatch, start.encode("latin-1") + data)
    try:
        inputs = read_records("-", schema)
    except MltoolError:
        return
    assert all(len(array) == inputs.num_rows > 0 for array in inputs.arrays.values())


@pytest.mark.parametrize("header", ["BMI,city", "RIFFS,city"])
def test_a_table_whose_header_begins_like_a_picture_is_a_table(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    name = header.partition(",")[0]
    schema = Schema(
        (Column(name, "number"), Column("city", "category", ("oslo",))),
        (TensorSpec("numbers", "float32", (1,)), TensorSpec("categories", "int64", (1,))),
        TABLE.target,
    )
    give(monkeypatch, f"{header}\n22.5,oslo\n".encode())
    assert read_records("-", schema).arrays["numbers"].tolist() == [[22.5]]


def test_an_npz_that_unpacks_to_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(np.zeros((2, 3), np.float32)))
        archive.filelist[0].file_size = 1 << 50  # what the directory at the end of the file says
    with pytest.raises(DataError, match=r"unpacks to 1048576\.0 GiB, more than the memory that is free"):
        read_records(str(path), VECTOR)


def test_the_names_in_an_npz_are_checked_before_an_array_is_read(tmp_path: Path) -> None:
    path = tmp_path / "broken.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("z.npy", b"\x93NUMPY, cut off")
    with pytest.raises(InputError, match="unknown array `z`"):
        read_records(str(path), VECTOR)
