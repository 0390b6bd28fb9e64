from __future__ import annotations

from pathlib import Path

import pytest

from mltool.artifacts.writing import write_json, write_text


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new" * 10_000 + "\ud800")
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_the_same_bytes_on_every_system(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "nö", "a": [1, None]})
    expected = '{\n  "b": "nö",\n  "a": [\n    1,\n    null\n  ]\n}\n'
    assert (tmp_path / "a.json").read_bytes() == expected.encode()
