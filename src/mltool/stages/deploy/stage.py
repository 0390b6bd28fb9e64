"""What can be done with a deployment once it is there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, ConfigError
from mltool.records.deployment import Deployment
from mltool.records.ledger import Ledger
from mltool.records.reading import count
from mltool.stages.deploy import local
from mltool.stages.deploy.asking import is_ready


def rows(store: Store) -> list[dict[str, Any]]:
    """One plain row for each deployment."""
    ledger = Ledger(store.root)
    return [_row(ledger.read(name)) for name in ledger.names()]


def _row(deployment: Deployment) -> dict[str, Any]:
    current, live = deployment.current, deployment.live
    return {
        "deployment": deployment.name,
        "target": deployment.target,
        "state": _state(deployment),
        "model": current.model_ref or current.model_digest[:12] if current else None,
        "version": current.number if current else None,
        "url": live.url if live else None,
    }


def _state(deployment: Deployment) -> str:
    if local.is_up(deployment):
        url = deployment.live.url if deployment.live else None
        return "answers" if url and is_ready(url) else "does not answer"
    return "ended by itself" if deployment.live is not None else "stopped"


def status(store: Store, name: str | None) -> dict[str, Any]:
    """Everything that is known of a deployment."""
    ledger = Ledger(store.root)
    name = _chosen(ledger, name)
    deployment = ledger.read(name)
    current = deployment.current
    folder = Path((current.config.get("record_folder") if current else None) or ledger.predictions(name))
    return {
        **_row(deployment),
        "num_predictions_recorded": count(folder) if folder.is_dir() else 0,
        "records": str(folder),
        "live": asdict(deployment.live) if deployment.live else None,
        "versions": [asdict(version) for version in deployment.versions],
        "history": [asdict(event) for event in ledger.history(name)],
    }


def log_path(store: Store, name: str | None) -> Path:
    ledger = Ledger(store.root)
    name = _chosen(ledger, name)
    return local.log_path(ledger, name)


def stop(store: Store, name: str | None) -> Deployment:
    ledger = Ledger(store.root)
    name = _chosen(ledger, name)
    return local.stop(ledger, name)


def rollback(store: Store, name: str | None) -> Deployment:
    ledger = Ledger(store.root)
    name = _chosen(ledger, name)
    return local.rollback(ledger, name)


def _chosen(ledger: Ledger, name: str | None) -> str:
    """The deployment that is meant; where none is named, the only one, or the only one in service."""
    if name is not None:
        return name
    names = ledger.names()
    meant = names if len(names) == 1 else [one for one in names if ledger.read(one).live is not None]
    if len(meant) == 1:
        return meant[0]
    if not names:
        raise ArtifactError("there is no deployment yet", hint="make one with `mltool deploy local`")
    raise ConfigError("which deployment is meant?", hint=f"there are {', '.join(names)}")
