"""Processes of this machine."""

from __future__ import annotations

from typing import Any

from mltool.records.deployment import Deployment
from mltool.records.ledger import Ledger
from mltool.stages.deploy import local
from mltool.stages.deploy.asking import is_ready
from mltool.stages.deploy.targets import Log


class Local:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def state(self, deployment: Deployment) -> str:
        if local.is_up(deployment):
            url = deployment.live.url if deployment.live else None
            return "answers" if url and is_ready(url) else "does not answer"
        return "ended by itself" if deployment.live is not None else "stopped"

    def facts(self, deployment: Deployment) -> dict[str, Any]:
        return {}

    def log(self, deployment: Deployment) -> Log:
        return Log(path=local.log_path(self._ledger, deployment.name))

    def removes(self, deployment: Deployment) -> list[str]:
        return []

    def stop(self, name: str) -> Deployment:
        return local.stop(self._ledger, name)

    def rollback(self, name: str) -> Deployment:
        return local.rollback(self._ledger, name)


target = Local
