"""A dataset of the store as a source: `mltool.modeling.sources.open` on top of `mltool.datasets`."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from mltool.artifacts.store import Store
from mltool.core.errors import ConfigError
from mltool.datasets.config import DataConfig
from mltool.modeling.sources.open import open_dataset

LINES = "".join(f'{{"size": {i}, "kind": "{"ab"[i % 2]}"}}\n' for i in range(40))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "corn.jsonl.gz"
    path.write_bytes(gzip.compress(LINES.encode()))
    return path


@pytest.mark.parametrize(
    "knobs",
    [{"label": "size"}, {"split_seed": 3}, {"ignore": ("size",)}, {"image_size": 8}, {"test": "x.csv"}],
    ids=lambda knobs: next(iter(knobs)),
)
def test_a_knob_that_cannot_change_a_stored_dataset_is_refused(path: Path, store: Store, knobs: dict[str, Any]) -> None:
    open_dataset(DataConfig(source=str(path)), store)
    with pytest.raises(ConfigError, match=f"`data.{next(iter(knobs))}=.*cannot change the dataset `corn`") as caught:
        open_dataset(DataConfig(source="corn", **knobs), store)
    assert "original source" in str(caught.value.hint)


def test_a_stored_dataset_needs_no_knobs_and_accepts_its_damage(path: Path, store: Store) -> None:
    made = open_dataset(DataConfig(source=str(path), split_seed=3), store).artifact
    assert open_dataset(DataConfig(source="corn", max_damaged=0.5), store).artifact.digest == made.digest
