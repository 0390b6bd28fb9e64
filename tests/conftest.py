"""Every test starts in an empty folder, without the settings of whoever runs it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from mltool.artifacts.store import Store

settings.register_profile("mltool", deadline=None)  # a busy machine is no failure
settings.load_profile("mltool")

# A shell that starts the suite in the background lets it, and what it starts, ignore Ctrl-C: tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.startswith(("MLTOOL_", "WANDB_")):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".mltool")
