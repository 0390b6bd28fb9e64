from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from cli_testing import PASSED, Mltool, Outcome

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.cli.app import run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MLTOOL_HOME", "MLTOOL_DEBUG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture
def mltool(project: Path, capsys: pytest.CaptureFixture[str]) -> Mltool:
    """Runs one command line in the project's folder."""

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(arguments)
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return call


@pytest.fixture
def store(project: Path) -> Store:
    return Store(project / ".mltool")


@pytest.fixture
def make_model(store: Store) -> Callable[..., Artifact]:
    def make(
        name: str | None = "digits",
        *,
        accuracy: float = 0.97,
        checks: Iterable[Check] = PASSED,
        parents: Iterable[Parent] = (),
        config: dict[str, Any] | None = None,
        num_bytes: int = 2048,
    ) -> Artifact:
        with store.draft(ArtifactKind.model) as draft:
            draft.path("weights.safetensors").write_bytes(b"\0" * num_bytes)
            return draft.commit(
                name,
                config=config or {"train": {"lr": accuracy / 100, "epochs": 3}},
                parents=parents,
                metrics={"accuracy": accuracy, "latency_p50_ms": 1.25},
                checks=checks,
                facts={
                    "metrics_split": "validation",
                    "intervals": {"accuracy": [accuracy - 0.02, accuracy + 0.01]},
                    "confidence": 0.95,
                },
                weights="weights.safetensors",
            )

    return make


@pytest.fixture
def make_dataset(store: Store) -> Callable[..., Artifact]:
    def make(name: str | None = "digits") -> Artifact:
        with store.draft(ArtifactKind.dataset) as draft:
            draft.path("rows.bin").write_bytes(b"\1" * 512)
            return draft.commit(name, config={"data": {"source": name}})

    return make
