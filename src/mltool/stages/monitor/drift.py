"""Whether what a model is asked still looks like what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, DataError
from mltool.datasets.schema import schema_of
from mltool.records.deployment import Deployment
from mltool.records.ledger import Ledger
from mltool.runtimes.runner import Runner, load
from mltool.stages.monitor import window as windows
from mltool.stages.monitor.config import MonitorConfig
from mltool.stages.monitor.watched import watched
from mltool.stages.monitor.window import Window
from mltool.statistics.drift import Drift
from mltool.statistics.window import MIN_WINDOW_ROWS

CLAIM = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFound:
    """The decision about one window, and where it is kept.

    Attributes:
        source: Where the window is from, for people.
        window: The same as plain data.
        row_split: The split that the rows of the reference are from.
        attestation: Of the model; it holds all of this.
    """

    model: Artifact
    drift: Drift
    source: str
    window: Mapping[str, Any]
    row_split: str
    attestation: Artifact

    @property
    def alarm(self) -> bool:
        return self.drift.alarm

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model.label,
            "digest": self.model.digest,
            "source": self.source,
            "window": dict(self.window),
            "row_split": self.row_split,
            **self.drift.to_json(),
            "attestation": str(self.attestation.path),
        }


def in_current(model: Artifact, config: MonitorConfig, store: Store) -> DriftFound:
    """Compare a file, a folder or a dataset with the reference of a model, and attest what was found.

    Raises:
        ArtifactError: The model has no reference that can be used.
        DataError: It cannot be read, or has too few rows.
        InputError: It does not fit the model.
    """
    runner, current = _runner(model, config), str(config.current)
    window = windows.of_current(current, model, runner, config.batch_size, store)
    return _decide(model, runner, window, config, store)


def in_deployment(ref: str | None, config: MonitorConfig, store: Store) -> DriftFound:
    """Compare what a deployment was asked with the reference of a model, and attest what was found.

    Args:
        ref: The model whose answers are looked at; None is the one that it runs.

    Raises:
        ArtifactError: There is no such deployment or model, or it has no reference that can be used.
        DataError: Too little was recorded.
    """
    ledger = Ledger(store.root)
    deployment = ledger.read(str(config.deployment))
    model = deployed_model(deployment, store) if ref is None else store.find(ref, ArtifactKind.model)
    window = windows.of_log(deployment, ledger.log_of(deployment), model, config)
    return _decide(model, _runner(model, config), window, config, store)


def _runner(model: Artifact, config: MonitorConfig) -> Runner:
    return load(model, None if config.backend == "auto" else config.backend, config.threads)


def _decide(model: Artifact, runner: Runner, window: Window, config: MonitorConfig, store: Store) -> DriftFound:
    if window.num_rows < MIN_WINDOW_ROWS:
        num_rows = "1 row" if window.num_rows == 1 else f"{window.num_rows} rows"
        raise DataError(
            f"{window.source} has {num_rows}, but at least {MIN_WINDOW_ROWS} are needed to speak of drift",
            hint="collect more; with a few hundred, most of what matters is seen",
        )
    known = watched(model, schema_of(model), runner, config.batch_size)
    row_split = known.reference.row_split
    found = known.check(window.inputs, window.outputs, alpha=config.alpha, seed=config.seed)
    proof = store.attest(
        model,
        CLAIM,
        # No checks: what requests look like says nothing about whether the model may be deployed.
        metrics={"p_value": found.p_value, "num_rows": float(found.num_rows), "alarm": float(found.alarm)},
        facts={
            "drift": found.to_json(),
            "source": window.source,
            "window": dict(window.facts),
            "row_split": row_split,
            "config": asdict(config),
        },
        identity={"window": window.digest(), "alpha": config.alpha, "seed": config.seed},
    )
    return DriftFound(
        model=model,
        drift=found,
        source=window.source,
        window=window.facts,
        row_split=row_split,
        attestation=proof,
    )


def deployed_model(deployment: Deployment, store: Store) -> Artifact:
    """The model that answers now, or answered last."""
    current = deployment.current
    if current is None:
        raise ArtifactError(
            f"`{deployment.name}` has not answered yet", hint=f"see `mltool deploy status {deployment.name}`"
        )
    try:
        return store.find(current.model_digest, ArtifactKind.model)
    except ArtifactError:
        if not Path(current.model_path).is_dir():
            raise
        return store.find(current.model_path, ArtifactKind.model)
