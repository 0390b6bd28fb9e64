"""Where deployments run: one file is one target, and its name is what the ledger calls it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mltool.core.registry import Family
from mltool.records.deployment import Deployment
from mltool.records.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Where a deployment's log is: a file of this machine, or what shows it."""

    path: Path | None = None
    url: str | None = None
    command: str | None = None


class Target(Protocol):
    """What can be done with the deployments of one target; made with the ledger that they are in."""

    def state(self, deployment: Deployment) -> str:
        """In a few words, and at once: nothing far away is asked."""

    def facts(self, deployment: Deployment) -> dict[str, Any]:
        """What more is known, after asking wherever it runs; a `state` among them is the better one."""

    def log(self, deployment: Deployment) -> Log: ...

    def removes(self, deployment: Deployment) -> list[str]:
        """What `stop` deletes that cannot be had back at once, so that people are asked before; mostly nothing."""

    def stop(self, name: str) -> Deployment: ...

    def rollback(self, name: str) -> Deployment: ...


class MakeTarget(Protocol):
    def __call__(self, ledger: Ledger) -> Target: ...


targets: Family[MakeTarget] = Family("target", "mltool.stages.deploy.targets", "target")


def target_of(ledger: Ledger, deployment: Deployment) -> Target:
    return targets.load(deployment.target)(ledger)
