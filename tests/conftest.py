"""Every test starts in an empty folder, without the settings of whoever runs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from mltool.artifacts.store import Store

settings.register_profile("mltool", deadline=None)  # a busy machine is no failure
settings.load_profile("mltool")


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.startswith(("MLTOOL_", "WANDB_")):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".mltool")
