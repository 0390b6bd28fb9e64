"""Services of Cloud Run."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mltool.core import events
from mltool.core.errors import ArtifactError, RemoteError
from mltool.integrations.google import run
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import AGAIN
from mltool.integrations.google.run_messages import Share
from mltool.records.deployment import DeployedVersion, Deployment, Live, VersionState
from mltool.records.ledger import Ledger
from mltool.stages.deploy.gcp.journal import LISTED, TARGET
from mltool.stages.deploy.gcp.service import await_operation, expect_managed, moved, settled, traffic_of
from mltool.stages.deploy.targets import Log


class Gcp:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def state(self, deployment: Deployment) -> str:
        if deployment.live is not None:
            return "in service"
        if deployment.starting is not None:
            return "unfinished"
        current = deployment.current
        return "stopped" if current and current.state is VersionState.stopped else "failed"

    def facts(self, deployment: Deployment) -> dict[str, Any]:
        """What Cloud Run says now; where it cannot be asked, why not."""
        version = _last(deployment)
        known = {"project": version.remote.get("project"), "region": version.remote.get("region")}
        left = [f"{key} {version.remote[key]}" for key in LISTED if key in version.remote]
        try:
            service = run.find_service(_cloud(version), deployment.name)
        except RemoteError as error:
            return {**known, "made": left, "problem": error.message}
        if service is None:
            state = self.state(deployment)
            left = [one for one in left if not one.startswith(("service ", "revision "))]
            return {**known, "made": left, "state": "gone" if state == "in service" else state, "traffic": {}}
        traffic, current = traffic_of(service), deployment.current
        is_other = deployment.live is not None and current and current.remote.get("revision") not in traffic
        state = "answers" if deployment.live is not None and traffic else self.state(deployment)
        return {
            **known,
            "made": left,
            "state": "changes" if service.is_changing else "another revision answers" if is_other else state,
            "unfinished": deployment.starting.number if deployment.starting else None,
            "traffic": traffic,
            "problem": service.problem or None,
        }

    def log(self, deployment: Deployment) -> Log:
        remote = _last(deployment).remote
        project, region = remote.get("project"), remote.get("region")
        query = quote(f'resource.type="cloud_run_revision" resource.labels.service_name="{deployment.name}"')
        return Log(
            url=f"https://console.cloud.google.com/logs/query;query={query}?project={project}",
            command=f"gcloud run services logs read {deployment.name} --project={project} --region={region}",
        )

    def removes(self, deployment: Deployment) -> list[str]:
        url = deployment.live.url if deployment.live else None
        remote = _last(deployment).remote
        where = f"`{deployment.name}` in {remote.get('project')}, {remote.get('region')}"
        return [f"the service {where}, with all its revisions{f', which answers on {url}' if url else ''}"]

    def stop(self, name: str) -> Deployment:
        """Delete the service; images and what they were built from stay, so that it can be deployed again at once."""
        version = _last(self._ledger.read(name))
        cloud = _cloud(version)
        if cloud.has_ended:
            with self._ledger.locked(name) as deployment:
                deployment.stopped("it has ended with the stand-ins")
            events.warning(f"the stand-in on `{cloud.emulator}` is gone, and the service `{name}` with it")
            return deployment
        service = run.find_service(cloud, name)
        if service is not None:
            expect_managed(service, cloud)
            operation = run.delete_service(cloud, name)
            if operation:
                await_operation(cloud, name, operation)
            if run.find_service(cloud, name) is not None:
                raise RemoteError(f"the service `{name}` is still there", hint=AGAIN)
        with self._ledger.locked(name) as deployment:
            deployment.stopped("" if service is not None else "the service was gone already")
        events.info(f"images and sources stay, for the next deployment; {_clean_up(version)} delete those of all")
        return deployment

    def rollback(self, name: str) -> Deployment:
        """Give all traffic to the revision that answered before; nothing is built and no revision is made."""
        deployment = self._ledger.read(name)
        if self.state(deployment) == "stopped":
            raise ArtifactError(f"`{name}` is stopped", hint=f"`mltool deploy gcp REF service={name}`")
        previous = deployment.previous()
        if previous is None:
            raise ArtifactError(f"`{name}` has no earlier version that answered")
        revision = previous.remote.get("revision", "")
        cloud = _cloud(previous)
        service = settled(cloud, name)
        if service is None:
            raise RemoteError(f"there is no service `{name}` any more", hint=f"`mltool deploy gcp REF service={name}`")
        if revision not in {one.name for one in run.revisions_of(cloud, name) if one.is_ready}:
            raise RemoteError(
                f"the revision `{revision}` of `{name}` is gone or does not start",
                hint=f"deploy it again: `mltool deploy gcp {previous.model_ref or previous.model_digest[:12]}`",
            )
        after = moved(cloud, service, [Share(revision=revision, percent=100)])
        with self._ledger.locked(name, target=TARGET) as deployment:
            deployment.begin_again(previous.number)
            live = Live(url=after.url, image=previous.remote.get("image"), traffic=traffic_of(after))
            deployment.went_live(previous.number, live)
        return deployment


def _last(deployment: Deployment) -> DeployedVersion:
    """The version that answers, or else the last that was begun."""
    return deployment.starting or deployment.current or deployment.versions[-1]


def _clean_up(version: DeployedVersion) -> str:
    config, remote = version.config, version.remote
    place = f"--project={remote.get('project')} --location={remote.get('region')}"
    return (
        f"`gcloud artifacts repositories delete {config.get('repository')} {place}` and "
        f"`gcloud storage rm --recursive gs://{config.get('bucket')}`"
    )


def _cloud(version: DeployedVersion) -> Cloud:
    return Cloud(
        version.remote.get("project", ""), version.remote.get("region", ""), str(version.config.get("emulator") or "")
    )


target = Gcp
