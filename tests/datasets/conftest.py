from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dataset_testing import Heard

from mltool.core import events


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the data of a test is written."""
    return tmp_path


@pytest.fixture
def heard() -> Iterator[Heard]:
    listener = Heard()
    with events.subscribed(listener):
        yield listener
