from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mltool
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store, open_store
from mltool.core.errors import ConfigError

TABLE = "size,kind,note,price\n" + "".join(
    f"{i if i % 9 else ''},{'ab'[i % 2]},{'x' * (i % 3)},{i * 1.5}\n" for i in range(60)
)
pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def table(write: Callable[[str, str], Path]) -> Path:
    return write("table.csv", TABLE)


@pytest.mark.usefixtures("table")
def test_a_plan_writes_nothing_and_says_what_would_be(tmp_path: Path) -> None:
    plan = mltool.data.plan("source=table.csv")
    assert plan["name"] == "table"
    assert plan["num_rows"] == {"train": 39, "validation": 9, "test": 12}
    assert plan["already_decoded"] is None
    assert plan["disk_bytes"] > 0
    assert json.dumps(plan)
    assert not (tmp_path / ".mltool").exists()


@pytest.mark.usefixtures("table")
def test_a_plan_knows_what_is_decoded_already() -> None:
    made = mltool.data.add("source=table.csv", name="prices")
    plan = mltool.data.plan("source=table.csv")
    assert (plan["already_decoded"], plan["disk_bytes"]) == ("prices@1", 0)
    assert made.metrics == {f"num_rows_{name}": float(rows) for name, rows in plan["num_rows"].items()}


def test_the_summary_counts_columns_classes_and_missing_values(table: Path) -> None:
    summary = mltool.data.show(mltool.data.add("source=table.csv", "label=kind"))
    columns = {column["name"]: column for column in summary["columns"]}
    assert columns["size"]["kind"] == "number"
    assert 0.0 < columns["size"]["missing"] < 0.3
    assert summary["target"] == {"name": "kind", "kind": "class", "classes": ["a", "b"]}
    assert sum(sum(counts.values()) for counts in summary["class_counts"].values()) == 60
    assert json.dumps(summary)


def test_a_number_to_predict_is_summed_up_too(table: Path) -> None:
    summary = mltool.data.show(mltool.data.add("source=table.csv"))
    assert summary["class_counts"] == {}
    (price,) = [column for column in summary["columns"] if column["name"] == "price"]
    assert price["mean"] == pytest.approx(44.25, rel=0.2)


def test_the_page_of_a_dataset_shows_its_pictures_columns_and_notes(table: Path) -> None:
    page = mltool.data.page(mltool.data.add("source=table.csv")).read_text("utf-8")
    for text in ("table@1", "size", "kind", "carved out"):
        assert text in page
    digits = mltool.data.page(mltool.data.add("source=digits")).read_text("utf-8")
    assert digits.count("data:image/png;base64,") >= 10


def test_prepared_tensors_have_a_summary() -> None:
    images = np.zeros((40, 3, 5), np.float32)
    np.savez("arrays.npz", inputs=images, labels=np.arange(40) % 2)
    assert mltool.data.show(mltool.data.add("source=arrays.npz"))["columns"][0]["kind"] == "tensor, float32 [3, 5]"


def test_a_dataset_is_found_again_under_its_name(table: Path, store: Store) -> None:
    made = mltool.data.add("source=table.csv", name="prices")
    assert made.ref == "prices@1"
    assert open_store().find("prices", ArtifactKind.dataset).digest == made.digest
    assert mltool.data.add("source=table.csv", "split_seed=1", name="prices").ref == "prices@2"


def test_a_key_of_another_verb_is_refused(table: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key `epochs`"):
        mltool.data.add("source=table.csv", "epochs=3")
