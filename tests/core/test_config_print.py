"""What `--print-config` shows can be copied into `mltool.yaml`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.core.config.load import nested, resolve
from mltool.core.config.show import with_origins
from mltool.stages.train.config import TrainJob

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True) | st.sampled_from(["no", "null", "on", "y"])
TRAPS = [
    "\x85",
    "\xa0",
    "no",
    "none",
    "Null",
    "010",
    "1e-3",
    "1:30",
    "2020-01-01",
    ".inf",
    "a # b",
    "- a",
    "a: b",
    " a ",
    "[a",
    "'",
    "%",
]
TEXTS = st.sampled_from(TRAPS) | st.text(max_size=20).filter(lambda text: "${" not in text)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.none() | TEXTS,
        "data": st.fixed_dictionaries(
            {"source": TEXTS, "ignore": st.lists(TEXTS, max_size=3)},
            optional={"label": st.none() | TEXTS, "fields": st.dictionaries(NAMES, TEXTS, max_size=3)},
        ),
        "model": st.fixed_dictionaries({"args": st.dictionaries(NAMES, PLAIN, max_size=3)}),
        "lr": st.floats(0, 10, exclude_min=True),
        "clip_norm": st.floats(0, allow_infinity=False),
        "epochs": st.integers(1),
        "threads": st.none() | st.integers(1, 1024),
    },
)


@given(VALUES)
def test_a_printed_config_reads_back_as_the_same(values: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        first = resolve(TrainJob, "train", (), values, Path(folder))
        Path(folder, "mltool.yaml").write_bytes(with_origins(first).encode())
        second = resolve(TrainJob, "train", (), None, Path(folder))
    assert second.config == first.config
    assert nested(second.values) == nested(first.values)


def test_a_printed_config_reads_back_with_its_references(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLTEST_NUMBER", "5")
    texts = ("lr=${oc.env:MLTEST_NUMBER}", "model.args.a=${oc.env:MLTEST_NUMBER}", "data.ignore=[a, ${train.lr}]")
    first = resolve(TrainJob, "train", texts, None, tmp_path)
    (tmp_path / "mltool.yaml").write_text(with_origins(first), encoding="utf-8")
    second = resolve(TrainJob, "train", (), None, tmp_path)
    assert second.config == first.config
    assert second.config.model.args == {"a": 5}
    assert second.values == first.values


def test_each_value_is_shown_with_its_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mltool.yaml").write_text("name: corn\ndata:\n  ignore: [id, 'no']\n", encoding="utf-8")
    monkeypatch.setenv("MLTOOL_TRAIN__SEED", "7")
    lines = with_origins(resolve(TrainJob, "train", ["lr=0.5"], {"epochs": 2}, tmp_path)).splitlines()
    shown = [tuple(part.strip() for part in line.partition("  # ")[::2]) for line in lines]
    assert shown[0] == ("version: 1", "")
    for line in [
        ("name: corn", "mltool.yaml:1"),
        ("ignore: [id, 'no']", "mltool.yaml:3"),
        ("seed: 7", "MLTOOL_TRAIN__SEED"),
        ("lr: 0.5", "lr=0.5"),
        ("epochs: 2", "argument"),
        ("batch_size: 64", "default"),
        ("train:", ""),
    ]:
        assert line in shown


def test_the_stored_form_is_sections_of_plain_data(tmp_path: Path) -> None:
    stored = nested(resolve(TrainJob, "train", ["data.ignore=a,b", "model.args.a.b=1"], None, tmp_path).values)
    assert stored["name"] is None
    assert stored["data"]["ignore"] == ["a", "b"]
    assert stored["model"]["args"] == {"a": {"b": 1}}
    assert stored["train"]["epochs"] == 30
