"""Models in service: put them there, look at them, and take them back.

A deployment is given by its name, which may be left out where there is only one.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.verbs.jobs import resolved

if TYPE_CHECKING:
    from mltool.records.deployment import Deployment
    from mltool.stages.deploy.docker import Image
    from mltool.stages.deploy.gcp.stage import Release
    from mltool.stages.deploy.targets import Log

__all__ = [
    "docker",
    "gcp",
    "list",
    "local",
    "logs",
    "plan_docker",
    "plan_gcp",
    "plan_local",
    "plan_rollback",
    "plan_stop",
    "rollback",
    "status",
    "stop",
]


def local(ref: str = "latest", *overrides: str, accept_failed_checks: bool = False, **values: Any) -> Deployment:
    """Put a model into service on this machine, in the background.

    Args:
        accept_failed_checks: Deploy a model that failed a check or lacks one; it is recorded.
    """
    plan = resolved("deploy local", overrides, values)
    from mltool.stages.deploy import local as stage

    store = open_store()
    model = store.find(ref, ArtifactKind.model)
    return stage.deploy(model, plan, store, accept_failed_checks=accept_failed_checks)


def plan_local(
    ref: str = "latest", *overrides: str, accept_failed_checks: bool = False, **values: Any
) -> dict[str, Any]:
    """What `local` would do, as plain data."""
    plan = resolved("deploy local", overrides, values)
    from mltool.stages.deploy import local as stage

    store = open_store()
    model = store.find(ref, ArtifactKind.model)
    return stage.plan(model, plan, store, accept_failed_checks=accept_failed_checks)


def docker(ref: str = "latest", *overrides: str, accept_failed_checks: bool = False, **values: Any) -> Image:
    """Make a container image of a model, start it, and ask it for predictions before it is called done.

    Args:
        accept_failed_checks: Take a model that failed a check or lacks one; it is recorded.
    """
    job = resolved("deploy docker", overrides, values).config
    from mltool.stages.deploy import docker as stage

    store = open_store()
    model = store.find(ref, ArtifactKind.model)
    return stage.deploy_docker(model, job, store, accept_failed_checks=accept_failed_checks)


def plan_docker(
    ref: str = "latest", *overrides: str, accept_failed_checks: bool = False, **values: Any
) -> dict[str, Any]:
    """What `docker` would do, as plain data, with the Dockerfile."""
    job = resolved("deploy docker", overrides, values).config
    from mltool.stages.deploy import docker as stage

    store = open_store()
    model = store.find(ref, ArtifactKind.model)
    return stage.plan(model, job, store, accept_failed_checks=accept_failed_checks)


def gcp(ref: str, *overrides: str, accept_failed_checks: bool = False, **values: Any) -> Release:
    """Put a model into service on Google Cloud Run, and ask it for predictions before it gets any traffic.

    Args:
        ref: Never a default, since it spends money.
        accept_failed_checks: Deploy a model that failed a check or lacks one; it is recorded.
    """
    plan = resolved("deploy gcp", overrides, values)
    from mltool.stages.deploy.gcp import stage

    store = open_store()
    model = store.find(ref, ArtifactKind.model)
    return stage.deploy_gcp(model, plan, store, accept_failed_checks=accept_failed_checks)


def plan_gcp(ref: str = "latest", *overrides: str, accept_failed_checks: bool = False, **values: Any) -> dict[str, Any]:
    """What `gcp` would do, as plain data, with what is there now and would change."""
    plan = resolved("deploy gcp", overrides, values)
    from mltool.stages.deploy.gcp import stage

    store = open_store()
    model = store.find(ref, ArtifactKind.model)
    return stage.plan(model, plan, store, accept_failed_checks=accept_failed_checks)


def list() -> builtins.list[dict[str, Any]]:  # noqa: A001  # `mltool.deploy.list()`, as on the command line
    """Every deployment of this project: what answers, where, and since when."""
    from mltool.stages.deploy import stage

    return stage.rows(open_store())


def status(name: str | None = None) -> dict[str, Any]:
    """Whether a deployment answers, with all its versions and its history."""
    from mltool.stages.deploy import stage

    return stage.status(open_store(), name)


def logs(name: str | None = None) -> Log:
    """Where the log of a deployment is: a file, or the address and the command that show it."""
    from mltool.stages.deploy import stage

    return stage.log(open_store(), name)


def plan_stop(name: str | None = None) -> dict[str, Any]:
    """What `stop` would do, as plain data, with what it would delete."""
    from mltool.stages.deploy import stage

    return stage.plan_stop(open_store(), name)


def stop(name: str | None = None) -> Deployment:
    """Take a deployment out of service: a process after what it has begun to answer; a service of the cloud is deleted.

    It can be deployed again.
    """
    from mltool.stages.deploy import stage

    return stage.stop(open_store(), name)


def plan_rollback(name: str | None = None) -> dict[str, Any]:
    """What `rollback` would do, as plain data."""
    from mltool.stages.deploy import stage

    return stage.plan_rollback(open_store(), name)


def rollback(name: str | None = None) -> Deployment:
    """Bring back the model that answered before the current one was deployed."""
    from mltool.stages.deploy import stage

    return stage.rollback(open_store(), name)
