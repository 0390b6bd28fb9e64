"""What can be done with a deployment once it is there, wherever it runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, ConfigError
from mltool.records.deployment import Deployment
from mltool.records.ledger import Ledger
from mltool.records.reading import count
from mltool.stages.deploy.targets import Log, target_of


def rows(store: Store) -> list[dict[str, Any]]:
    """One plain row for each deployment."""
    ledger = Ledger(store.root)
    return [_row(ledger, ledger.read(name)) for name in ledger.names()]


def _row(ledger: Ledger, deployment: Deployment) -> dict[str, Any]:
    current, live = deployment.current, deployment.live
    return {
        "deployment": deployment.name,
        "target": deployment.target,
        "state": target_of(ledger, deployment).state(deployment),
        "model": current.model_ref or current.model_digest[:12] if current else None,
        "version": current.number if current else None,
        "url": live.url if live else None,
    }


def status(store: Store, name: str | None) -> dict[str, Any]:
    """Everything that is known of a deployment."""
    ledger = Ledger(store.root)
    name = _chosen(ledger, name)
    deployment = ledger.read(name)
    folder = ledger.log_of(deployment)
    return {
        **_row(ledger, deployment),
        **target_of(ledger, deployment).facts(deployment),
        "num_predictions_recorded": count(folder) if folder.is_dir() else 0,
        "records": str(folder),
        "live": asdict(deployment.live) if deployment.live else None,
        "versions": [asdict(version) for version in deployment.versions],
        "history": [asdict(event) for event in ledger.history(name)],
    }


def log(store: Store, name: str | None) -> Log:
    """Where the log of a deployment is."""
    ledger = Ledger(store.root)
    deployment = ledger.read(_chosen(ledger, name))
    return target_of(ledger, deployment).log(deployment)


def plan_stop(store: Store, name: str | None) -> dict[str, Any]:
    """What `stop` would do, as plain data."""
    ledger = Ledger(store.root)
    deployment = ledger.read(_chosen(ledger, name))
    target = target_of(ledger, deployment)
    return {
        "deployment": deployment.name,
        "target": deployment.target,
        "state": target.state(deployment),
        "url": deployment.live.url if deployment.live else None,
        "deletes": target.removes(deployment),
    }


def stop(store: Store, name: str | None) -> Deployment:
    ledger = Ledger(store.root)
    name = _chosen(ledger, name)
    return target_of(ledger, ledger.read(name)).stop(name)


def plan_rollback(store: Store, name: str | None) -> dict[str, Any]:
    """What `rollback` would do, as plain data.

    Raises:
        ArtifactError: There is nothing to go back to.
    """
    ledger = Ledger(store.root)
    deployment = ledger.read(_chosen(ledger, name))
    current, previous = deployment.current, deployment.previous()
    if previous is None:
        raise ArtifactError(f"`{deployment.name}` has no earlier version that answered")
    return {
        "deployment": deployment.name,
        "target": deployment.target,
        "from": f"version {current.number}, {current.model_ref or current.model_digest[:12]}" if current else None,
        "to": f"version {previous.number}, {previous.model_ref or previous.model_digest[:12]}",
        "revision": previous.remote.get("revision"),
    }


def rollback(store: Store, name: str | None) -> Deployment:
    ledger = Ledger(store.root)
    name = _chosen(ledger, name)
    return target_of(ledger, ledger.read(name)).rollback(name)


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
